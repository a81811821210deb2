"""A submission file as text: its header, its ids and its cells.

Shape legend: N rows, C columns beside the id's.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TextIO, cast

from kaggle_ray.counted import counted
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.numerals import shown

_ROWS_AT_ONCE = 256
"""Rows that are held at once: one of run lengths may take tens of KB, and ten times that while it is read."""

# The run lengths of a large mask are longer than the 128 KiB that the csv module allows by default.
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionTable:
    """Rows of a submission file, as text."""

    path: Path
    header: tuple[str, ...]
    """Names of the columns, the id's first."""
    ids: tuple[str, ...]
    """(N,) cells of the first column."""
    cells: tuple[tuple[str, ...], ...]
    """(N, C) cells of the other columns."""


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


def read_blocks(path: Path, *, rows_at_once: int = _ROWS_AT_ONCE) -> Iterator[SubmissionTable]:
    """Yield the cells of a submission file, some rows at a time, each with the header.

    Raises:
        SubmissionError: the file is missing or no CSV, or a row has another number of fields than the header.
    """
    rows = _rows(path)
    header = next(rows, None)
    if header is None:
        raise SubmissionError(f"{path}: expected a CSV file; it is empty.")
    while True:
        block = list(islice(rows, rows_at_once))
        for row in block:
            if len(row) != len(header):
                raise SubmissionError(
                    f"{path}: row {shown(row[0])}: expected {counted(len(header), 'field')}, as in the header, got "
                    f"{len(row)}."
                )
        yield SubmissionTable(
            path=path,
            header=tuple(header),
            ids=tuple(row[0] for row in block),
            cells=tuple(tuple(row[1:]) for row in block),
        )
        if len(block) < rows_at_once:
            return


def read_sample(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the header and the ids of a sample submission, of whose other fields nothing is asked.

    Raises:
        SubmissionError: the file is missing or no CSV.
    """
    header, *rows = list(_rows(path)) or [[]]
    return tuple(header), tuple(row[0] for row in rows)


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the fields of each row that is not empty, the header's first; a byte order mark belongs to none of them."""
    try:
        with _opened(path) as file:
            yield from filter(None, csv.reader(file, strict=True))
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, ValueError, csv.Error) as error:
        raise SubmissionError(f"{path}: expected a CSV file in UTF-8; {error}.") from error


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a file as text; one whose name ends in .gz or .zip, as Kaggle takes it, is unpacked."""
    with _unpacked(path) as content, io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as file:
        yield file


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file's bytes. Raise ValueError where an archive holds other than one file."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            if len(names := archive.namelist()) != 1:
                raise ValueError(f"the archive holds {counted(len(names), 'file')}, and one is expected")
            with archive.open(names[0]) as content:
                yield content
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as content:
            yield cast(IO[bytes], content)
    else:
        with path.open("rb") as content:
            yield content


def digest_of_cells(path: Path) -> str:
    """Return the digest of a submission file's rows; some of them are in memory at a time.

    Raises:
        SubmissionError: the file is missing or no CSV, or a row has another number of fields than the header.
    """
    digest = CellsDigest()
    for block in read_blocks(path):
        for sample_id, cells in zip(block.ids, block.cells, strict=True):
            digest.add(sample_id, cells)
    return digest.hex()


def check_header(header: Sequence[str], expected: Sequence[str], *, where: str) -> None:
    """Raise SubmissionError where the column names or their order differ."""
    if tuple(header) != tuple(expected):
        raise SubmissionError(f"{where}: expected the header {','.join(expected)!r}, got {','.join(header)!r}.")


def check_ids(ids: Sequence[str], expected: Sequence[str], *, where: str) -> None:
    """Raise SubmissionError where ``ids`` are not the ``expected`` ones, each once, in any order."""
    wanted = set(expected)
    problems = {
        "expected more than once": _repeated(expected),
        "there more than once": _repeated(ids),
        "missing": sorted(wanted.difference(ids)),
        "not in the sample submission": sorted(set(ids) - wanted),
    }
    if found := [
        f"{counted(len(names), 'id is', 'ids are')} {problem}, such as {names[:5]}"
        for problem, names in problems.items()
        if names
    ]:
        raise SubmissionError(f"{where}: expected {counted(len(expected), 'id')}, got {len(ids)}; {'; '.join(found)}.")


def _repeated(ids: Sequence[str]) -> list[str]:
    return [sample_id for sample_id, count in Counter(ids).items() if count > 1]
