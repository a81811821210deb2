"""Ids of rows: texts, each there once, and the same however their accents are written."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.errors import DataError
from kaggle_ray.types import StrArray


def as_ids(ids: Sequence[str]) -> StrArray:
    """Return (N,) ids as an array of text.

    >>> from kaggle_ray import as_ids
    >>> as_ids(["a", "b"]).tolist()
    ['a', 'b']

    Raises:
        DataError: an id is no text: 0012 that was read as a number is 12.
    """
    listed = list(ids)
    if others := [each for each in listed if not isinstance(each, str)]:
        raise DataError(
            f"ids: expected texts, got {others[0]!r} ({type(others[0]).__name__}). Read the table by read_table, or by "
            f"pandas with dtype=str: 0012 that is read as a number becomes 12."
        )
    return np.array(listed, dtype=np.str_)


def check_unique(ids: Sequence[str], *, where: str) -> None:
    """Raise DataError that names the first ids which are there more than once."""
    if repeated := [sample_id for sample_id, count in Counter(ids).items() if count > 1]:
        raise DataError(f"{where}: {counted(len(repeated), 'id is', 'ids are')} there more than once: {few(repeated)}.")


def composed(text: str) -> str:
    """Return a text with each accented letter as one character: macOS writes file names with the accents apart."""
    return unicodedata.normalize("NFC", text)


def few(ids: Sequence[str]) -> str:
    """Return the first ids, for messages."""
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
