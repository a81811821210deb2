"""The one grammar of the numbers in a submission: JSON's, in ASCII, which every reader takes for the same number.

Python's ``float`` and ``int`` take more: ``0_1``, ``+1``, blanks around, the digits of other scripts, ``nan``, ``inf``.
Source: RFC 8259, section 6.
"""

from __future__ import annotations

import math
import re

import numpy as np

from kaggle_ray.counted import counted

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
"""Whole numbers of at most 18 digits, so that the sum of two of them is still an int64."""
_WHOLES = re.compile(rf"{_WHOLE.pattern}(?: {_WHOLE.pattern})*")
_LARGEST = float(np.finfo(np.float32).max)
"""Predictions are float32."""
_SHOWN = 40
"""Characters of a cell that a message shows."""


def parse_number(text: str) -> float:
    """Return the number that a cell is.

    Raises:
        ValueError: it is none, or beyond float32.
    """
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    if abs(value) > _LARGEST:
        raise ValueError(f"expected a finite number, got {shown(text)}")
    return value


def parse_whole(text: str) -> int:
    """Return the whole number that a cell is; ``1.0`` and ``1e5`` are none.

    Raises:
        ValueError: it is none, or has more than 18 digits.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"expected a whole number, got {shown(text)}")
    return int(text)


def parse_wholes(text: str) -> list[int]:
    """Return the whole numbers of a cell, with one blank between two of them; none of an empty one.

    Raises:
        ValueError: as ``parse_whole`` of the first that is none.
    """
    words = text.split(" ") if text else []
    if text and not _WHOLES.fullmatch(text):  # a look at all of them at once is faster
        return [parse_whole(word) for word in words]
    return list(map(int, words))


def shown(text: str) -> str:
    """Return a cell as a message shows it; of a long one, the beginning."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}... ({counted(len(text), 'character')})"
