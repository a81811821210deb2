"""The rows of a submission of masks, made by a thread per core and written in order; a killed write goes on.

Beside the file stands one record for each row: a digest over its predictions and its text, and where it ends. What is
whole, and is of the same predictions, is not made again: neither enlarged, nor decided, nor encoded.

Shape legend: N rows, P values of a mask's prediction.
"""

from __future__ import annotations

import csv
import hashlib
import io
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kaggle_ray.cpus import num_cpus
from kaggle_ray.data.competition import Competition
from kaggle_ray.decide import Decision
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.submission.answers import answers_of
from kaggle_ray.submission.cells import cells_of
from kaggle_ray.submission.draft import PART_BYTES, StoredParts, records_of
from kaggle_ray.submission.table import CellsDigest
from kaggle_ray.types import FloatArray, StrArray

_RECORD = struct.Struct("<16sQ")
"""Digest of a row, and the offset in the file of what comes after it."""
_ROWS_PER_THREAD = 4
"""Masks that are under way for each thread: each holds some MB while it is enlarged."""


def write_masks(
    path: Path,
    sample_ids: StrArray,
    values: Rows,
    competition: Competition,
    decision: Decision,
    *,
    num_threads: int | None = None,
    parts: StoredParts | None = None,
) -> str:
    """Write the run lengths of (N, P) predictions as CSV, and return the digest of what was written.

    The bytes are those of ``write_submission``. Where a write to the same path was killed, the rows that are whole
    stay, as far as they are of the same predictions.

    Args:
        path: of the file; beside it lies a file of records, which is to be removed with it.
        sample_ids: (N,) of the rows.
        values: not yet decided; some rows at a time are in memory.
        competition: of masks.
        decision: turns predictions into masks.
        num_threads: that make rows; None is one for each core.
        parts: where whole rows are kept beside ``path``; None keeps none elsewhere.

    Raises:
        SubmissionError: a prediction is not finite.
    """
    fmt, digest = competition.submission, CellsDigest()
    make = partial(_line, competition=competition, decision=decision)
    asked = repr((decision.to_json(), fmt, competition.mask and (competition.mask.height, competition.mask.width)))
    salt = hashlib.blake2b(asked.encode(), digest_size=16).digest()
    with (
        _Kept(path, header=_text(fmt.header), parts=parts) as kept,
        ThreadPoolExecutor(num_threads or num_cpus()) as pool,
    ):
        under_way: deque[tuple[str, bytes, Future[bytes]]] = deque()
        most = _ROWS_PER_THREAD * (num_threads or num_cpus())

        def write_first() -> None:
            sample_id, of_values, line = under_way.popleft()
            kept.add(of_values, line.result())
            digest.add(sample_id, _cells(line.result()))

        for sample_id, row_P in _each(sample_ids, values):
            of_values = hashlib.blake2b(
                salt + sample_id.encode() + repr(_full_size(competition, sample_id)).encode() + row_P.tobytes(),
                digest_size=16,
            ).digest()
            if (line := kept.taken(of_values)) is not None:
                digest.add(sample_id, _cells(line))
                continue
            under_way.append((sample_id, of_values, pool.submit(make, sample_id, row_P)))
            if len(under_way) >= most:
                write_first()
        while under_way:
            write_first()
        kept.end()
    return digest.hex()


def _each(sample_ids: StrArray, values: Rows) -> Iterator[tuple[str, FloatArray]]:
    for block in blocks(values):
        of_block = np.ascontiguousarray(values[block], dtype=np.float32)
        yield from zip(sample_ids[block].tolist(), of_block, strict=True)


def _line(sample_id: str, row_P: FloatArray, *, competition: Competition, decision: Decision) -> bytes:
    """Return a row of the file, its end of line included."""
    (answer,) = answers_of(row_P[np.newaxis], competition, decision, ids=np.array([sample_id]))
    return _text([sample_id, *cells_of(competition).write(answer)])


def _text(fields: Sequence[str | float]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue().encode()


def _cells(line: bytes) -> list[str]:
    (fields,) = csv.reader(io.StringIO(line.decode(), newline=""))
    return fields[1:]


def _full_size(competition: Competition, sample_id: str) -> tuple[int, int]:
    assert competition.mask is not None, "run lengths are of masks"
    return competition.mask.full_size(sample_id)


class _Kept:
    """A file of rows and its records: what an earlier write left of both, and what is written now."""

    def __init__(self, path: Path, *, header: bytes, parts: StoredParts | None) -> None:
        """Open both files. Rows of a file with another ``header`` are none of this one's."""
        self._parts = parts
        self._file: BinaryIO = path.open("a+b")
        self._records: BinaryIO = records_of(path).open("a+b")
        self._file.seek(0)
        begun = self._file.read(len(header)) == header
        self._records.seek(0)
        data = self._records.read() if begun else b""
        self._found = deque(_RECORD.iter_unpack(data[: len(data) - len(data) % _RECORD.size]))
        self._num_rows, self._end, self._goes_on = 0, len(header), True
        if not begun:
            self._file.truncate(0)
            self._file.write(header)

    def taken(self, of_values: bytes) -> bytes | None:
        """Return the next row's text where it is whole and of these predictions; from the first that is not, None."""
        if not self._goes_on:
            return None
        if self._found:
            digest, end = self._found.popleft()
            self._file.seek(self._end)
            line = self._file.read(max(0, end - self._end))
            if len(line) == end - self._end and digest == _digest_of(of_values, line):
                self._num_rows, self._end = self._num_rows + 1, end
                return line
        self._goes_on = False
        self._cut()
        return None

    def add(self, of_values: bytes, line: bytes) -> None:
        """Write a row, and then its record."""
        self._file.write(line)
        self._file.flush()
        self._end += len(line)
        self._records.write(_RECORD.pack(_digest_of(of_values, line), self._end))
        self._records.flush()
        if self._parts is not None and self._end - self._parts.end >= PART_BYTES:
            self._parts.grow(self._file, self._records)

    def end(self) -> None:
        """Cut off what an earlier write of more rows left."""
        if self._goes_on:
            self._cut()

    def _cut(self) -> None:
        for file, size in ((self._file, self._end), (self._records, self._num_rows * _RECORD.size)):
            file.truncate(size)
            file.seek(0, io.SEEK_END)
        if self._parts is not None:
            self._parts.cut(self._end)

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._records.close()


def _digest_of(of_values: bytes, line: bytes) -> bytes:
    return hashlib.blake2b(of_values + line, digest_size=16).digest()
