"""Rows of named cells, whatever they are of: those that meet conditions, in order, and as CSV."""

from __future__ import annotations

import csv
import io
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.untrusted import printable

Cell = str | float | None
Cells = Mapping[str, Cell]
"""Column -> value."""
_Sortable = tuple[bool, float, str]

_OPERATORS: Mapping[str, Callable[[_Sortable, _Sortable], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"([\w. ]+?)\s*(!=|<=|>=|=|<|>|~)\s*(.*)", re.DOTALL)


class HasCells(Protocol):
    """What has a row of cells."""

    @property
    def cells(self) -> Cells:
        """Column -> value."""
        ...


R = TypeVar("R", bound=HasCells)


def select_rows(rows: Sequence[R], *, where: Sequence[str] = (), sort: str | None = None) -> list[R]:
    """Return the rows that meet all conditions, in order; those without a value to order by come last.

    Args:
        rows: in the order that they have where no other is asked for.
        where: conditions such as ``lr>=0.01``, ``user=ann`` or ``experiment~resnet``, which is a part of the text.
        sort: a column, ``-`` before it for the largest first; None: as they are.

    Raises:
        ConfigError: a condition is none, or names no column.
    """
    if not rows:
        return []
    columns = columns_of(rows)
    conditions = [_condition(text, columns) for text in where]
    found = [row for row in rows if all(holds(row.cells) for holds in conditions)]
    if sort is None:
        return found
    name = sort.removeprefix("-")
    check_columns([name], columns)
    known = [row for row in found if row.cells.get(name) not in (None, "")]
    known.sort(key=lambda row: _sortable(row.cells.get(name)), reverse=sort.startswith("-"))
    return known + [row for row in found if row.cells.get(name) in (None, "")]


def rows_csv(rows: Sequence[HasCells], *, columns: Sequence[str] = ()) -> str:
    """Return rows as CSV: all columns, or those that are named.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: names are anybody's.

    Raises:
        ConfigError: there is no such column.
    """
    known = columns_of(rows)
    names = list(columns) or list(known)
    check_columns(names, known or names)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_of_csv, names))
    writer.writerows([_of_csv(row.cells.get(name)) for name in names] for row in rows)
    return text.getvalue()


def columns_of(rows: Iterable[HasCells]) -> tuple[str, ...]:
    """Return the columns that rows have, each once, in their order."""
    return tuple(dict.fromkeys(name for row in rows for name in row.cells))


def check_columns(names: Iterable[str], known: Sequence[str]) -> None:
    """Raise ConfigError, with the nearest column, where one of the names is none of the ``known``."""
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no column {name!r}{suggest(name, known)}")


def _of_csv(value: Cell) -> str | float | None:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _condition(text: str, columns: Sequence[str]) -> Callable[[Cells], bool]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ConfigError(f"--filter {text!r}: expected COLUMN and a value, with =, !=, <, <=, >, >= or ~ between.")
    name, sign, wanted = match.groups()
    check_columns([name], columns)

    def holds(cells: Cells) -> bool:
        value = cells.get(name)
        if sign == "~":
            return wanted.lower() in str(value).lower()
        left, right = _sortable(value), _sortable(_parsed(wanted))
        if sign in ("=", "!="):
            return _OPERATORS[sign](left, right)
        return left[0] == right[0] and value is not None and _OPERATORS[sign](left, right)

    return holds


def _parsed(text: str) -> Cell:
    try:
        return float(text)
    except ValueError:
        return text


def _sortable(value: Cell) -> _Sortable:
    """Return what orders numbers among each other, and texts after them."""
    return (True, 0.0, str(value)) if not isinstance(value, float | int) else (False, float(value), "")
