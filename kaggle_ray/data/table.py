"""Numbers that come with the images, from the cells of a competition's tables.

Shape legend: N rows, D columns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.types import BoolArray, FloatArray

if TYPE_CHECKING:
    import pandas as pd


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
                values[row, number] = float(cell)
            if not np.isfinite(values[row, number]):
                raise DataError(
                    f"{where}: row {row + 1}, column {column!r}: expected a number or nothing, got {cell!r}."
                )
    return Table(columns=tuple(columns), values=values)
