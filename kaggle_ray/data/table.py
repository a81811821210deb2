"""Numbers that come with the images, from the cells of a competition's tables.

Shape legend: N rows, D columns.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.data.files import check_unique
from kaggle_ray.errors import DataError
from kaggle_ray.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Numbers that come with the images: a second input."""

    columns: tuple[str, ...]
    values: FloatArray
    """(N, D) in the order of the ids; NaN where a value is missing."""


def idle_columns(table: Table) -> tuple[str, ...]:
    """Return the columns that tell nothing: they are empty, or have the same value in every row."""
    return tuple(
        column
        for column, values in zip(table.columns, table.values.T, strict=True)
        if np.isnan(values).all() or (values == values[0]).all()
    )


def join_rows(table: pd.DataFrame, ids: Sequence[str], *, key: str, where: str) -> pd.DataFrame:
    """Return the row of each id, in the ids' order; of an id that has no row, all cells are empty.

    Args:
        table: cells as text, as ``read_table`` returns them.
        ids: (N,) may repeat, as the cars of photographs do.
        key: the column that holds the ids.
        where: the table's file, for messages.

    Raises:
        DataError: two rows have the same id, or no id of ``ids`` has a row.
    """
    check_unique(table[key].tolist(), where=where)
    if len(ids) and not set(ids) & set(table[key]):
        raise DataError(f"{where}: none of {len(ids)} ids has a row, such as {ids[0]!r}. Is it the right column?")
    return table.set_index(key).reindex(list(ids), fill_value="")


def read_numbers(table: pd.DataFrame, columns: Sequence[str], *, where: str) -> Table:
    """Return ``columns`` as numbers; an empty cell is a missing value, NaN.

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


def frequent_values(cells: Sequence[str], *, min_share: float) -> tuple[str, ...]:
    """Return the texts, sorted, that are in at least two cells and in ``min_share`` of all, 0..1; not the empty one."""
    counts = Counter(cells)
    return tuple(sorted(cell for cell, n in counts.items() if cell and n >= max(2, min_share * len(cells))))


def encode_categories(cells: Sequence[str], categories: Sequence[str], *, name: str) -> Table:
    """Return a column ``name=category`` for each category: 1 in its rows, 0 in others, NaN where the cell is empty."""
    values = np.zeros((len(cells), len(categories)), dtype=np.float32)
    for row, cell in enumerate(cells):
        values[row] = [cell == category for category in categories] if cell else np.nan
    return Table(columns=tuple(f"{name}={category}" for category in categories), values=values)


def join_tables(tables: Sequence[Table]) -> Table:
    """Return the columns of ``tables``, which have the same rows, side by side.

    Raises:
        DataError: the tables differ in their number of rows, or columns share a name.
    """
    columns = tuple(column for table in tables for column in table.columns)
    if len({len(table.values) for table in tables}) != 1:
        raise DataError(f"tables: expected the same number of rows, got {[len(table.values) for table in tables]}.")
    check_unique(columns, where="the tables' columns")
    return Table(columns=columns, values=np.concatenate([table.values for table in tables], axis=1))
