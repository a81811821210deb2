"""Masks as run lengths, the way Kaggle writes them: ``start length start length ...``, pixels counted from 1.

Shape legend: H and W pixels.
"""

from __future__ import annotations

import math

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.submission_format import PixelOrder
from kaggle_ray.submission.numerals import parse_wholes, shown
from kaggle_ray.types import BoolArray

Runs = np.ndarray[tuple[int], np.dtype[np.int64]]


def encode_rle(mask_HW: BoolArray, order: PixelOrder) -> str:
    """Return the run lengths of a mask; an empty mask is an empty text.

    Args:
        mask_HW: True where the foreground is.
        order: ``rows`` counts pixels along each row, ``columns`` down each column.
    """
    pixels = (mask_HW if order == "rows" else mask_HW.T).ravel()
    if not pixels.size:
        return ""
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1  # of truth values: faster than differences of numbers
    edges = np.concatenate([[0] if pixels[0] else [], edges, [pixels.size] if pixels[-1] else []]).astype(np.int64)
    starts, ends = edges[::2], edges[1::2]
    return " ".join(map(str, np.column_stack([starts + 1, ends - starts]).ravel().tolist()))


def parse_runs(text: str, size: tuple[int, int] | None) -> tuple[Runs, Runs]:
    """Return (R,) the first pixel of each run, counted from 0, and (R,) the pixel after its last.

    Args:
        text: the run lengths.
        size: height and width of the mask; None where they are not known, and any pixel may be one of it.

    Raises:
        ValueError: they are no pairs of numbers with one blank between two of them, overlap or are out of order, or
            leave the mask.
    """
    numbers = np.array(parse_wholes(text), dtype=np.int64)
    if len(numbers) % 2:
        raise ValueError(
            f"run lengths: expected pairs of start and length, got {counted(len(numbers), 'number')}: {shown(text)}"
        )
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    ends = starts + lengths
    is_wrong = (lengths < 1) | (starts < np.concatenate([[0], ends[:-1]]))
    if size is not None:
        is_wrong |= ends > math.prod(size)
    if is_wrong.any():
        run = int(is_wrong.argmax())
        got = " ".join(map(str, numbers[max(0, 2 * run - 2) : 2 * run + 2].tolist()))
        of_mask = f", of the pixels 1..{math.prod(size)} of a mask of {size[0]} x {size[1]}" if size else ""
        raise ValueError(
            f"run lengths: expected ascending runs of at least 1 pixel that do not overlap{of_mask}, got {got}"
        )
    return starts, ends


def decode_rle(text: str, height: int, width: int, order: PixelOrder) -> BoolArray:
    """Return the (height, width) mask of run lengths.

    Raises:
        ValueError: they are not the run lengths of such a mask; see ``parse_runs``.
    """
    starts, ends = parse_runs(text, (height, width))
    edges = np.concatenate([[0], np.column_stack([starts, ends]).ravel(), [height * width]])
    is_inside = np.arange(len(edges) - 1) % 2 == 1  # outside, inside, outside, ... from one edge to the next
    pixels = np.repeat(is_inside, np.diff(edges))
    return pixels.reshape(height, width) if order == "rows" else pixels.reshape(width, height).T
