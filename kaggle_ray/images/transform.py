"""Turns a person's own images, files or arrays, into what a trained model takes.

Shape legend: V views of a sample, H and W pixels, C channels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.data.reading import ImageReading
from kaggle_ray.errors import DataError
from kaggle_ray.images.color import to_float
from kaggle_ray.images.decode import Pixels, fit_pixels
from kaggle_ray.images.facts import ImageFacts, measured_image
from kaggle_ray.images.geometry import resize_pixels
from kaggle_ray.images.layout import Layout
from kaggle_ray.images.reading import not_read_whole

logger = logging.getLogger(__name__)

OneImage: TypeAlias = str | Path | Pixels
"""A file, or the pixels (H, W, C) of an image, red first, or (H, W) of a grey one: uint8 or uint16. Where a reader
reads the competition's files, what it returns of one."""
Image: TypeAlias = OneImage | Sequence[OneImage]
"""An image, or a sample's several images in their fixed order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """Makes a model's input of an image file or an array, just as the run did: decoded, shrunk, in the range 0..1."""

    layout: Layout
    """How images are decoded, and at which size."""
    sides: tuple[int, int]
    """Height and width in pixels at which the model predicts."""
    fuses: bool = False
    """Whether the model fuses the several images of a sample by more than their mean."""
    varies: bool = False
    """Whether the run had samples of different numbers of images: where they are fused, one is a sequence, too."""

    def __call__(self, image: Image) -> Tensor:
        """Return (C, H, W) float32, of several images of one sample (V, C, H, W); batches are stacked.

        Of one image it is (1, C, H, W) where the model fuses however many there are. Pixels are from 0 to 1, other
        numbers that a reader reads as they are.

        Raises:
            DataError: a file does not decode, an array is no image of these channels, or it is one where the model
                fuses a number of them that is always the same.
        """
        views = views_of_image(image)
        pixels = [self.pixels(view) for view in views]
        if len(depths := {each.dtype for each in pixels}) > 1:
            raise DataError(f"images: expected all of one depth, got {' and '.join(sorted(map(str, depths)))}.")
        pixels_VHWC = resize_pixels(np.concatenate(pixels), *self.sides)
        self.check_several(len(pixels_VHWC))
        self._warn_of(views)
        images_VCHW = to_float(torch.from_numpy(pixels_VHWC))
        return images_VCHW[0] if len(images_VCHW) == 1 and not self.fuses else images_VCHW

    def check_several(self, num_views: int) -> None:
        """Raise DataError where a sample has one image, and the model fuses several of each."""
        if self.fuses and not self.varies and num_views == 1:
            raise DataError("images: expected several to a sample, which the run's models fuse, got one.")

    def _warn_of(self, views: Sequence[OneImage]) -> None:
        """Tell what of the images is not read, once for each; of a reader's files all is."""
        if self.layout.reader is not None:
            return
        reading = self.layout.image_reading or ImageReading()
        names = ["an array" if isinstance(view, np.ndarray) else str(view) for view in views]
        facts = [facts_of(view, self.layout.channels) for view in views]
        for remark in not_read_whole(
            reading, [(name, each) for name, each in zip(names, facts, strict=True) if each is not None]
        ):
            logger.warning("%s", remark)

    def pixels(self, image: OneImage) -> Pixels:
        """Return (V, H, W, C) the pixels of a file or an array at the size that the run decoded to.

        V is 1, or the images of each file that a reader reads.

        Raises:
            DataError: as ``__call__``.
        """
        pixels = self._pixels(image)
        return pixels if pixels.ndim == 4 else pixels[np.newaxis]

    def _pixels(self, image: OneImage) -> Pixels:
        if isinstance(image, np.ndarray) and self.layout.reader is not None:
            return self.layout.reader.fitted(image, self.layout.height, self.layout.width, self.layout.channels)
        if isinstance(image, np.ndarray):
            return fit_pixels(
                image, self.layout.height, self.layout.width, channels=self.layout.channels,
                image_reading=self.layout.image_reading,
            )  # fmt: skip
        return self.layout.decode(Path(image))


def facts_of(image: OneImage, channels: int) -> ImageFacts | None:
    """Return what a file or an array holds; None where that cannot be told, as who decodes it says."""
    if not isinstance(image, np.ndarray):
        return measured_image(Path(image), channels)
    if image.ndim not in (2, 3) or not image.size or image.dtype not in (np.uint8, np.uint16):
        return None
    is_deep = image.dtype == np.uint16
    lowest, highest = (int(image.min()), int(image.max())) if is_deep else (0, 255)
    return ImageFacts(
        height=image.shape[0], width=image.shape[1], orientation=1, bits=16 if is_deep else 8, lowest=lowest,
        highest=highest, nearly_highest=highest,
    )  # fmt: skip


def views_of_image(image: Image) -> Sequence[OneImage]:
    """Return the images of a sample, of which there may be one.

    Raises:
        DataError: there are none.
    """
    views: Sequence[OneImage] = [image] if isinstance(image, str | Path | np.ndarray) else list(image)
    if not views:
        raise DataError("a sample of no images: expected a file, an array, or several of these.")
    return views
