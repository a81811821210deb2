"""Numbers that come with the images, from the cells of a competition's tables.

Shape legend: N rows, D columns.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.errors import DataError
from kaggle_ray.types import BoolArray, FloatArray

if TYPE_CHECKING:
    import pandas as pd


MOST_DEVIATIONS = 10.0
"""Standard deviations from the mean of the rows to train on at which a number is cut."""
_SHOWN = 5
"""Cells or rows that a remark names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Numbers that come with the images: a second input.

    >>> import numpy as np
    >>> from kaggle_ray import Table
    >>> Table(columns=("margin", "area"), values=np.array([[0.1, 7.0]], dtype=np.float32)).columns
    ('margin', 'area')
    """

    columns: tuple[str, ...]
    values: FloatArray
    """(N, D) numbers in the order of the ids; NaN where a value is missing."""

    def with_rows(self, keep: BoolArray) -> Table:
        """Return the rows where ``keep`` (N,) is True."""
        return replace(self, values=self.values[keep])


def idle_columns(table: Table) -> tuple[str, ...]:
    """Return the columns that tell nothing: they are empty, or have the same value in every row."""
    return tuple(
        column
        for column, values in zip(table.columns, table.values.T, strict=True)
        if np.isnan(values).all() or (values == values[0]).all()
    )


def beyond_training(train: Table, test: Table) -> BoolArray:
    """Return (T, D) which numbers are cut where a model is trained on all rows of ``train``."""
    is_known = ~np.isnan(train.values)
    num_known = np.maximum(is_known.sum(axis=0), 1)
    mean = np.where(is_known, train.values, 0).sum(axis=0, dtype=np.float64) / num_known
    std = np.sqrt(np.where(is_known, (train.values - mean) ** 2, 0).sum(axis=0) / num_known)
    return np.asarray(np.abs(test.values - mean) > MOST_DEVIATIONS * np.where(std < 1e-12, 1, std))


def remarks_on_cut(columns: Sequence[str], values: FloatArray, is_cut: BoolArray, names: Sequence[str]) -> list[str]:
    """Return a line on numbers that are cut, none where there are none.

    Args:
        columns: D names.
        values: (N, D) numbers.
        is_cut: (N, D) which of them are cut.
        names: N names of the rows.
    """
    if not is_cut.any():
        return []
    number = int(np.count_nonzero(is_cut))
    cells = [
        f"{columns[column]} of {names[row]} ({values[row, column]:g})" for row, column in np.argwhere(is_cut)[:_SHOWN]
    ]
    return [
        f"{counted(number, 'number of the table is', 'numbers of the table are')} more than {MOST_DEVIATIONS:g} "
        f"standard deviations from the mean of the training rows, cut there: {_few(cells, number)}"
    ]


def remarks_on_missing(train: Table, test: Table, names: Sequence[str]) -> list[str]:
    """Return a line on each column that some of the T rows of ``test`` lack, ``names``, and none of ``train`` does."""
    if not len(train.values):
        return []
    is_missing = np.isnan(test.values) & ~np.isnan(train.values).any(axis=0)
    return [
        f"the table's column {column!r} is missing in {counted(len(rows), 'row')} to predict, and in no training row, "
        f"so that no model has learnt what that means: {_few([names[row] for row in rows[:_SHOWN]], len(rows))}"
        for column, rows in zip(test.columns, map(np.flatnonzero, is_missing.T), strict=True)
        if len(rows)
    ]


def _few(shown: Sequence[str], number: int) -> str:
    return ", ".join(shown) + (", ..." if number > len(shown) else "")


def read_numbers(table: pd.DataFrame, columns: Sequence[str], *, where: str) -> Table:
    """Return ``columns`` as numbers; an empty cell is a missing value, NaN.

    >>> import pandas as pd
    >>> from kaggle_ray import read_numbers
    >>> cells = pd.DataFrame({"width": ["1.5", ""]})
    >>> read_numbers(cells, ["width"], where="train.csv").values.tolist()
    [[1.5], [nan]]

    Raises:
        DataError: another cell is not a finite number; row and column are named.
    """
    values = np.full((len(table), len(columns)), np.nan, dtype=np.float32)
    for number, column in enumerate(columns):
        for row, cell in enumerate(table[column].tolist()):
            if not cell.strip():
                continue
            with contextlib.suppress(ValueError):
                values[row, number] = _number(cell)
            if not np.isfinite(values[row, number]):
                raise DataError(
                    f"{where}: row {row + 1}, column {column!r}: expected a number or nothing, got {cell!r}."
                )
    return Table(columns=tuple(columns), values=values)


def _number(cell: str) -> float:
    """Return the number of a cell; NaN where only Python takes it for one, such as 1_2, or it is beyond float32."""
    number = float(cell) if cell.isascii() and "_" not in cell else math.nan
    return number if abs(number) <= float(np.finfo(np.float32).max) else math.nan
