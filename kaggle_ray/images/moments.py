"""The scale of images: mean and standard deviation of each channel over some of them.

Shape legend: N images, H and W pixels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kaggle_ray.images.joined import ImageRows
from kaggle_ray.types import Float64Array, FloatArray, IntArray

_NUM_AT_ONCE = 64
_SMALLEST_STD = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageScale:
    """What images are normalised with."""

    mean: FloatArray
    """(C,) means of values as a network gets them: 8 and 16 bits as 0..1, other numbers as they are."""
    std: FloatArray
    """(C,) standard deviations."""
    fitted_rows: IntArray | None = None
    """Rows that they were computed over; None where they were declared."""


class ImageMoments:
    """Mean and mean square of each image's channels, computed once for all folds."""

    def __init__(self, images: ImageRows) -> None:
        """Nothing is read before it is asked for."""
        self._images = images

    @cached_property
    def _of_images(self) -> tuple[Float64Array, Float64Array]:
        """Return (N, C) means and (N, C) mean squares; images of one size count alike."""
        num_images, *_, channels = self._images.shape
        means, squares = (np.empty((num_images, channels), dtype=np.float64) for _ in range(2))
        for start in range(0, num_images, _NUM_AT_ONCE):
            rows = np.arange(start, min(start + _NUM_AT_ONCE, num_images))
            pixels_NHWC = self._images.read(rows)
            largest = {"u1": 255.0, "u2": 65535.0}.get(pixels_NHWC.dtype.str[1:], 1.0)
            values = pixels_NHWC.astype(np.float64) / largest
            means[rows] = values.mean(axis=(1, 2))
            squares[rows] = np.square(values).mean(axis=(1, 2))
        return means, squares

    def scale(self, images: IntArray, *, rows: IntArray) -> ImageScale:
        """Return the scale of some images, which are those of ``rows``."""
        means, squares = (values[images].mean(axis=0) for values in self._of_images)
        std = np.sqrt(np.maximum(squares - np.square(means), 0))
        return ImageScale(
            mean=means.astype(np.float32),
            std=np.where(std < _SMALLEST_STD, 1, std).astype(np.float32),
            fitted_rows=rows,
        )
