"""CSV files as Kaggle lays them out: every cell as text, in the encoding that the file has."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_ray.counted import counted
from kaggle_ray.data.user_files import text_encoding
from kaggle_ray.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

# The run lengths of a large mask are longer than the 128 KiB that the csv module allows by default.
csv.field_size_limit(2**31 - 1)


def read_table(path: Path, *, columns: Sequence[str]) -> pd.DataFrame:
    r"""Return a CSV file with every cell as text, as it stands in the file.

    >>> from pathlib import Path
    >>> from kaggle_ray import read_table
    >>> _ = Path("train.csv").write_text("id,label\n007,dog\n")
    >>> read_table(Path("train.csv"), columns=["id", "label"])["id"].tolist()
    ['007']

    Raises:
        DataError: the file is missing, no CSV in UTF-8 or UTF-16, or lacks one of ``columns``.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file. Is the competition's download complete?")
    encoding = text_encoding(path)
    try:
        table = _parsed(path, encoding)
        _check_widths(path, encoding, table)
    except (OSError, ValueError) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ").removesuffix(".")
        raise DataError(
            f"{path}: expected a CSV file: {reason}. A field with a comma or a line end stands in double quotes, "
            f"one on either side."
        ) from error
    if missing := [column for column in columns if column not in table.columns]:
        raise DataError(
            f"{path}: expected the columns {', '.join(columns)}; missing {', '.join(missing)} among "
            f"{', '.join(repr(column) for column in table.columns[:20])}.{_other_separator(list(table.columns))}"
        )
    return table


def _parsed(path: Path, encoding: str) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding=encoding)
    if isinstance(table.index, pd.RangeIndex) or _numbers_rows(table.index.tolist()):
        return table
    if (table.iloc[:, -1] != "").any():
        raise ValueError("the first row has more fields than the header")
    # Each row ends in a comma that the header lacks: pandas takes the first column for row names, and shifts all.
    with warnings.catch_warnings(action="ignore", category=pd.errors.ParserWarning):
        return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding=encoding)


def _check_widths(path: Path, encoding: str, table: pd.DataFrame) -> None:
    """Raise ValueError where a row has fewer fields than the header, which pandas reads as empty ones."""
    if not table.shape[1] or not (table.iloc[:, -1] == "").any():
        return
    with path.open(encoding=encoding, newline="") as file:
        rows = csv.reader(file)
        width = len(next(rows))
        for row in rows:
            if row and len(row) < width:
                raise ValueError(
                    f"line {rows.line_num} has {len(row)} of {counted(width, 'field')}. Is the file cut off there?"
                )


def _numbers_rows(names: Sequence[object]) -> bool:
    """Return whether names of rows, which stand before the columns of the header as R writes them, are numbers."""
    return any(list(names) == [str(number) for number in range(start, start + len(names))] for start in (0, 1))


def _other_separator(header: Sequence[str]) -> str:
    """Return what to do about a header that is one column, separated by something else than commas."""
    separator = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    return f" Save it with commas in place of each {separator!r}." if separator else ""


def read_header(path: Path) -> list[str]:
    """Return the column names of a CSV file as they stand there, spaces and names that repeat included.

    Raises:
        DataError: the file cannot be read, or is empty.
    """
    encoding = text_encoding(path)
    try:
        with path.open(newline="", encoding=encoding) as file:
            header = next(csv.reader(file), [])
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file: {error}.") from error
    if not header:
        raise DataError(f"{path}: expected a CSV file with a header, got an empty line.")
    return header
