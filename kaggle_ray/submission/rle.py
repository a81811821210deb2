"""Masks as run lengths, the way Kaggle writes them: ``start length start length ...``, pixels counted from 1.

Shape legend: H and W pixels.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.data.submission_format import PixelOrder
from kaggle_ray.submission.numerals import parse_whole
from kaggle_ray.types import BoolArray


def encode_rle(mask_HW: BoolArray, order: PixelOrder) -> str:
    """Return the run lengths of a mask; an empty mask is an empty text.

    Args:
        mask_HW: True where the foreground is.
        order: ``rows`` counts pixels along each row, ``columns`` down each column.
    """
    pixels = (mask_HW if order == "rows" else mask_HW.T).ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], pixels, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return " ".join(map(str, np.column_stack([starts + 1, ends - starts]).ravel().tolist()))


def decode_rle(text: str, height: int, width: int, order: PixelOrder) -> BoolArray:
    """Return the (height, width) mask of run lengths.

    Raises:
        ValueError: they are no pairs of numbers with one blank between two of them, overlap or are out of order, or
            leave the image.
    """
    numbers = np.array([parse_whole(word) for word in text.split(" ")] if text else [], dtype=np.int64)
    if len(numbers) % 2:
        raise ValueError(f"run lengths: expected pairs of start and length, got {len(numbers)} numbers")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    ends = starts + lengths
    if (lengths < 1).any() or (starts[1:] < ends[:-1]).any():
        raise ValueError("run lengths: expected ascending runs of at least 1 pixel that do not overlap")
    if len(starts) and (starts[0] < 0 or ends[-1] > height * width):
        raise ValueError(
            f"run lengths: expected pixels 1..{height * width} of a mask of {height} x {width}, "
            f"got {starts[0] + 1}..{ends[-1]}"
        )
    steps = np.zeros(height * width + 1, dtype=np.int8)
    steps[starts] += 1
    steps[ends] -= 1
    pixels = np.cumsum(steps[:-1]).astype(np.bool_)
    return pixels.reshape(height, width) if order == "rows" else pixels.reshape(width, height).T
