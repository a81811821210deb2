"""A submission file as text: its cells, its header and its ids.

Shape legend: N rows, C columns beside the id's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.errors import SubmissionError
from kaggle_ray.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionTable:
    """A submission file's cells, as text."""

    path: Path
    header: tuple[str, ...]
    """The id's column first."""
    ids: tuple[str, ...]
    """(N,) the first column."""
    cells: tuple[tuple[str, ...], ...]
    """(N, C) the others; a cell that a short row lacks is empty."""


def read_cells(path: Path) -> SubmissionTable:
    """Return the cells of a submission file.

    Raises:
        SubmissionError: the file is missing or no CSV.
    """
    import pandas as pd

    try:
        # Without a header, since pandas would rename a column that is there twice.
        rows = pd.read_csv(path, header=None, index_col=False, dtype=str, keep_default_na=False).to_numpy().tolist()
    except (OSError, ValueError) as error:
        raise SubmissionError(f"{path}: expected a CSV file; {error}.") from error
    header, *body = rows
    return SubmissionTable(
        path=path,
        header=tuple(header),
        ids=tuple(row[0] for row in body),
        cells=tuple(tuple(row[1:]) for row in body),
    )


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
