"""Several sets of images that are read as one: the training images, and after them those of the test rows.

Shape legend: N rows, n of them, H and W pixels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.images.cache import Images
from kaggle_ray.images.decode import Pixels
from kaggle_ray.types import IntArray


class ImageRows(Protocol):
    """Images of one size that are read by their positions."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, H, W and C."""
        ...

    @property
    def num_decoded(self) -> int:
        """How many images this process has decoded for the set."""
        ...

    def read(self, rows: IntArray, /) -> Pixels:
        """Return (n, H, W, C) the pixels of ``rows`` (n,), in their order: a copy."""
        ...


@dataclass(frozen=True, slots=True)
class JoinedImages:
    """The images of ``first``, then those of ``second``, which are of the same size."""

    first: ImageRows
    second: ImageRows

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N of both together, H, W and C."""
        return (self.first.shape[0] + self.second.shape[0], *self.first.shape[1:])

    @property
    def num_decoded(self) -> int:
        """How many images this process has decoded for both."""
        return self.first.num_decoded + self.second.num_decoded

    def read(self, rows: IntArray) -> Pixels:
        """Return (n, H, W, C) the pixels of ``rows`` (n,), in their order: a copy.

        Raises:
            DataError: the two sets differ in their depth: 8 bits would be read as the darkest of 16.
        """
        is_second = rows >= self.first.shape[0]
        parts = [self.first.read(rows[~is_second]) if not is_second.all() else None]
        parts.append(self.second.read(rows[is_second] - self.first.shape[0]) if is_second.any() else None)
        dtypes = {part.dtype for part in parts if part is not None}
        if len(dtypes) > 1:
            raise DataError(f"expected training and test images of one depth, got {sorted(map(str, dtypes))}.")
        pixels = np.empty((len(rows), *self.shape[1:]), dtype=dtypes.pop() if dtypes else np.uint8)
        for part, is_here in zip(parts, (~is_second, is_second), strict=True):
            if part is not None:
                pixels[is_here] = part
        return pixels


_: type[ImageRows] = Images
_ = JoinedImages
