"""A submission file as text: its cells, its header and its ids.

Shape legend: N rows, C columns beside the id's.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.errors import SubmissionError
from kaggle_ray.types import FloatArray

_ROWS_AT_ONCE = 256
"""Rows that are held at once: one of run lengths may take tens of KB, and ten times that while it is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionTable:
    """Rows of a submission file, as text."""

    path: Path
    header: tuple[str, ...]
    """Names of the columns, the id's first."""
    ids: tuple[str, ...]
    """(N,) cells of the first column."""
    cells: tuple[tuple[str, ...], ...]
    """(N, C) cells of the other columns; one that a short row lacks is empty."""


class CellsDigest:
    """Checks whether a file holds the ids and cells that were written to it, neither of which is kept."""

    def __init__(self) -> None:
        """Begin with no rows."""
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, sample_id: str, cells: Sequence[str | float]) -> None:
        """Take note of a row; a number is the text that is written of it."""
        self._digest.update(repr((sample_id, *map(str, cells))).encode())

    def hex(self) -> str:
        """Return the digest of the rows so far."""
        return self._digest.hexdigest()


def read_cells(path: Path) -> SubmissionTable:
    """Return all cells of a submission file.

    Raises:
        SubmissionError: the file is missing or no CSV.
    """
    (table,) = read_blocks(path, rows_at_once=None)
    return table


def read_blocks(path: Path, *, rows_at_once: int | None = _ROWS_AT_ONCE) -> Iterator[SubmissionTable]:
    """Yield the cells of a submission file, some rows at a time, each with the header; None yields all together.

    Raises:
        SubmissionError: the file is missing or no CSV.
    """
    import pandas as pd

    try:
        # Without a header, since pandas would rename a column that is there twice.
        with pd.read_csv(
            path, header=None, index_col=False, dtype=str, keep_default_na=False, chunksize=rows_at_once or sys.maxsize
        ) as frames:
            header: list[str] | None = None
            for frame in frames:
                rows = frame.to_numpy().tolist()
                if header is None:
                    header, *rows = rows
                yield SubmissionTable(
                    path=path,
                    header=tuple(header),
                    ids=tuple(row[0] for row in rows),
                    cells=tuple(tuple(row[1:]) for row in rows),
                )
    except (OSError, ValueError) as error:
        raise SubmissionError(f"{path}: expected a CSV file; {error}.") from error


def digest_of_cells(path: Path) -> str:
    """Return the digest of a submission file's rows; some of them are in memory at a time.

    Raises:
        SubmissionError: the file is missing or no CSV.
    """
    digest = CellsDigest()
    for block in read_blocks(path):
        for sample_id, cells in zip(block.ids, block.cells, strict=True):
            digest.add(sample_id, cells)
    return digest.hex()


def parse_values(table: SubmissionTable) -> FloatArray:
    """Return (N, C) the values of a submission.

    Raises:
        SubmissionError: a cell is empty, not a number, NaN or infinite; row and column are named.
    """
    values = np.array([[_number(cell) for cell in row] for row in table.cells], dtype=np.float64)
    values = values.reshape(len(table.cells), len(table.header) - 1)
    if not (finite := np.isfinite(values)).all():
        row, column = (int(position) for position in np.argwhere(~finite)[0])
        raise SubmissionError(
            f"{table.path}: row {table.ids[row]!r}, column {table.header[column + 1]!r}: expected a finite number, "
            f"got {table.cells[row][column]!r}; {np.count_nonzero(~finite)} cells are like that."
        )
    return values.astype(np.float32)


def check_header(header: Sequence[str], expected: Sequence[str], *, where: str) -> None:
    """Raise SubmissionError where the column names or their order differ."""
    if tuple(header) != tuple(expected):
        raise SubmissionError(f"{where}: expected the header {','.join(expected)!r}, got {','.join(header)!r}.")


def check_ids(ids: Sequence[str], expected: Sequence[str], *, where: str) -> None:
    """Raise SubmissionError where ``ids`` are not the ``expected`` ones, each once, in any order."""
    wanted = set(expected)
    problems = {
        "are expected more than once": _repeated(expected),
        "are there more than once": _repeated(ids),
        "are missing": sorted(wanted.difference(ids)),
        "are not in the sample submission": sorted(set(ids) - wanted),
    }
    if found := [f"{len(names)} ids {problem}, such as {names[:5]}" for problem, names in problems.items() if names]:
        raise SubmissionError(f"{where}: expected {len(expected)} ids, got {len(ids)}; {'; '.join(found)}.")


def _repeated(ids: Sequence[str]) -> list[str]:
    return [sample_id for sample_id, count in Counter(ids).items() if count > 1]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
