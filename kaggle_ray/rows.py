"""Tables of predictions and targets that are read some rows at a time, so that they need not fit in memory.

Shape legend: N rows, C columns, n of the rows.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kaggle_ray.types import BoolArray, IntArray

Numbers = npt.NDArray[Any]

_BLOCK_VALUES = 2**20
"""Numbers in a block: 4 MiB as float32, six masks of 320 x 480. An experiment holds a few blocks at once."""


class Rows(Protocol):
    """Numbers (N, C) or (N,) of which some rows are read at a time. An array is one; ``rows[:]`` is all of them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C) or (N,)."""
        ...

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, rows: slice | IntArray | BoolArray, /) -> Numbers:
        """Return (n, C) or (n,) the chosen rows, in the order in which they were asked for."""
        ...


@dataclass(frozen=True, slots=True)
class LazyRows:
    """Rows that are read or computed whenever they are asked for, and that nobody keeps."""

    shape: tuple[int, ...]
    read: Callable[[IntArray], Numbers]
    """Returns the rows at some positions (n,), in their order."""

    def __len__(self) -> int:
        """Return N."""
        return self.shape[0]

    def __getitem__(self, rows: slice | IntArray | BoolArray, /) -> Numbers:
        """Return (n, C) or (n,) the chosen rows, read now, in the order in which they were asked for."""
        return self.read(np.arange(len(self))[rows])

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Numbers:
        """Return all rows: for tables that are known to be small."""
        return np.asarray(self[:], dtype=dtype)


@dataclass(frozen=True, slots=True)
class MeanRows:
    """The mean of what several models predict of the same rows, which of each model can be read, too."""

    mean: Rows
    """Mean predictions, (N, C)."""
    parts: tuple[Rows, ...]
    """Predictions of each model, (N, C)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the mean, (N, C)."""
        return self.mean.shape

    def __len__(self) -> int:
        """Return N."""
        return len(self.mean)

    def __getitem__(self, rows: slice | IntArray | BoolArray, /) -> Numbers:
        """Return (n, C) the mean of the chosen rows, in the order in which they were asked for."""
        return self.mean[rows]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Numbers:
        """Return all rows: for tables that are known to be small."""
        return np.asarray(self[:], dtype=dtype)


def are_read_anew(rows: Rows) -> bool:
    """Return whether rows are read or computed whenever they are asked for, rather than in memory."""
    return isinstance(rows.mean if isinstance(rows, MeanRows) else rows, LazyRows)


def parts_of(rows: Rows) -> tuple[Rows, ...]:
    """Return what each model predicts of ``rows``, or ``rows`` themselves where it is not known apart."""
    return rows.parts if isinstance(rows, MeanRows) else (rows,)


_: Rows = np.zeros((0, 0))
_ = MeanRows(np.zeros((0, 0)), ())
_ = LazyRows((0,), lambda rows: rows)


def blocks(rows: Rows) -> Iterator[slice]:
    """Yield slices that cover all rows in order, each of few enough to be held several times over."""
    row_values = max(1, int(np.prod(rows.shape[1:])))
    size = max(1, _BLOCK_VALUES // row_values)
    yield from (slice(start, min(start + size, len(rows))) for start in range(0, len(rows), size))


def select_rows(rows: Rows, chosen: IntArray | BoolArray) -> Rows:
    """Return the chosen rows: an array's at once, others whenever they are read; of a mean, those of each model."""
    if isinstance(rows, MeanRows):
        mean = select_rows(rows.mean, chosen)
        return MeanRows(mean, tuple(mean if part is rows.mean else select_rows(part, chosen) for part in rows.parts))
    if not isinstance(rows, LazyRows):
        return rows[chosen]
    positions, read = np.arange(len(rows))[chosen], rows.read
    return LazyRows((len(positions), *rows.shape[1:]), lambda wanted: read(positions[wanted]))


def stacked(parts: Sequence[Rows]) -> LazyRows:
    """Return the float32 rows of ``parts``, each (n, C), one part below the other.

    Raises:
        ValueError: they differ in their columns.
    """
    if len({part.shape[1:] for part in parts}) != 1:
        raise ValueError(f"expected parts with the same columns, got the shapes {[part.shape for part in parts]}")
    starts = np.cumsum([0, *(len(part) for part in parts)])
    columns = parts[0].shape[1:]

    def read(rows: IntArray) -> Numbers:
        of_part = np.searchsorted(starts, rows, side="right") - 1
        found = np.empty((len(rows), *columns), dtype=np.float32)
        for number in np.unique(of_part).tolist():
            found[of_part == number] = parts[number][rows[of_part == number] - starts[number]]
        return found

    return LazyRows((int(starts[-1]), *columns), read)


def read_rows(array: Numbers, rows: IntArray) -> Numbers:
    """Return a copy of some rows; of a memory map, through a map of its own.

    What was read of a file goes from the process's memory with that map: otherwise all of a file that was read once
    would count as the process's until the machine runs short.
    """
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):  # a view of one has the offset of the whole
        array = np.memmap(array.filename, array.dtype, "r", offset=array.offset, shape=array.shape)
    return np.array(array[rows])
