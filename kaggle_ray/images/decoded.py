"""The decode-once cache as a dataset of torch's, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.images.cache import open_images


class DecodedImages(Dataset[Any]):
    """Images of files that are decoded once on this machine, whatever the number of epochs, processes and runs.

    The first use decodes all; each later one, of any process, maps what is there.

    >>> import cv2
    >>> import numpy as np
    >>> from kaggle_ray import DecodedImages
    >>> _ = cv2.imwrite("grey.png", np.full((8, 8, 3), 128, np.uint8))
    >>> tuple(DecodedImages(["grey.png"], height=4, width=6)[0].shape)
    (3, 4, 6)
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        height: int,
        width: int,
        channels: int = 3,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        """Decode what is not in the cache yet.

        Args:
            paths: of photographs: JPEG, PNG and the like.
            height: that they are resized to, in pixels.
            width: that they are resized to, in pixels.
            channels: 3 are red, green and blue; 1 is grey.
            transform: is given (C, H, W) uint8, or uint16, when an image is read.

        Raises:
            DataError: files are missing or do not decode; the first few are named.
        """
        self._images = open_images(
            [Path(path) for path in paths],
            height=height,
            width=width,
            channels=channels,
            cache_dir=default_cache_dir(),
        )
        self._transform = transform

    def __len__(self) -> int:
        """Return the number of images."""
        return self._images.shape[0]

    def __getitem__(self, row: int) -> Any:
        """Return (C, H, W) the pixels of an image, or what the transform makes of them."""
        pixels = torch.from_numpy(self._images.read(np.array([row]))[0]).permute(2, 0, 1)
        return pixels if self._transform is None else self._transform(pixels)
