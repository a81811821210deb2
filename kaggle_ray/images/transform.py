"""Turns a person's own images, files or arrays, into what a trained model takes.

Shape legend: V views of a sample, H and W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.errors import DataError
from kaggle_ray.images.color import to_float
from kaggle_ray.images.decode import Pixels, fit_pixels
from kaggle_ray.images.geometry import resize_pixels
from kaggle_ray.images.layout import Layout

OneImage: TypeAlias = str | Path | Pixels
"""A file, or the pixels (H, W, C) of an image, red first, or (H, W) of a grey one: uint8 or uint16."""
Image: TypeAlias = OneImage | Sequence[OneImage]
"""An image, or a sample's several images in their fixed order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """Makes a model's input of an image file or an array, just as the run did: decoded, shrunk, in the range 0..1."""

    layout: Layout
    """How images are decoded, and at which size."""
    sides: tuple[int, int]
    """Height and width in pixels at which the model predicts."""

    def __call__(self, image: Image) -> Tensor:
        """Return (C, H, W) float32 from 0 to 1, of several images of one sample (V, C, H, W); batches are stacked.

        Raises:
            DataError: a file does not decode, or an array is no image of these channels.
        """
        views = views_of_image(image)
        pixels_VHWC = resize_pixels(np.stack([self.pixels(view) for view in views]), *self.sides)
        images_VCHW = to_float(torch.from_numpy(pixels_VHWC))
        return images_VCHW[0] if len(views) == 1 else images_VCHW

    def pixels(self, image: OneImage) -> Pixels:
        """Return (H, W, C) the pixels of an image at the size that the run decoded to.

        Raises:
            DataError: as ``__call__``.
        """
        if isinstance(image, np.ndarray):
            return fit_pixels(
                image, self.layout.height, self.layout.width, channels=self.layout.channels,
                image_reading=self.layout.image_reading,
            )  # fmt: skip
        return self.layout.decode(Path(image))


def views_of_image(image: Image) -> Sequence[OneImage]:
    """Return the images of a sample, of which there may be one.

    Raises:
        DataError: there are none.
    """
    views: Sequence[OneImage] = [image] if isinstance(image, str | Path | np.ndarray) else list(image)
    if not views:
        raise DataError("a sample of no images: expected a file, an array, or several of these.")
    return views
