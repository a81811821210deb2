"""The run's diary: one JSON line per event, from which any other reporter can be caught up later."""

from __future__ import annotations

import json
import os
from io import BufferedReader, FileIO
from pathlib import Path

from kaggle_ray.errors import JsonShapeError, StoreError
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.codec import SCHEMA_VERSION, envelope_from_json, envelope_to_json
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.typed_json import parse_json
from kaggle_ray.untrusted import MAX_JSON_BYTES, MAX_LIST_BYTES, open_regular, read_regular

_BLOCK_BYTES = 2**16


class JsonlReporter:
    """Appends each event to a file, at once and in a single write.

    A line that a crash tore is cut off when the file is opened again; every whole line of before stays. A file that
    another version of the schema wrote is set aside, as ``events-before-2.jsonl``, so that each file can be read.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path`` for appending; it and its folder are made where they are missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _set_aside_older(path)
        self._path = path
        self._file = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        _mend_tail(self._file)

    def emit(self, envelope: Envelope) -> None:
        """Append one event.

        Raises:
            OSError: the line could not be written whole, as on a full disk.
        """
        line = json.dumps(envelope_to_json(envelope), allow_nan=False).encode() + b"\n"
        num_written = self._file.write(line)
        if num_written != len(line):
            raise OSError(f"{self._path}: expected to write {len(line)} bytes, wrote {num_written}. Is the disk full?")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


_JSONL_IS_A_REPORTER: type[Reporter] = JsonlReporter


def read_events(path: Path) -> list[Envelope]:
    """Return the file's events by time of writing; of those with one event_id (a trial run again) only the last.

    A torn last line is skipped, for a driver may be at work.

    Raises:
        StoreError: a line before the last is not an event.
        SchemaVersionError: another version wrote a line.
        OSError: there is no such file.
    """
    last_by_id: dict[str, Envelope] = {}
    *lines, _torn_or_empty = read_regular(path, max_bytes=MAX_LIST_BYTES).split(b"\n")
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            value = parse_json(line, where=where)
        except JsonShapeError as error:
            raise StoreError(f"{where}: expected a JSON object, got {line[:80]!r}.") from error
        try:
            envelope = envelope_from_json(value)
        except StoreError as error:
            raise type(error)(f"{where}: {error}") from error
        last_by_id.pop(envelope.event_id, None)
        last_by_id[envelope.event_id] = envelope
    return list(last_by_id.values())


def _set_aside_older(path: Path) -> None:
    """Rename a file whose first line another version of the schema wrote."""
    if not path.exists():
        return
    with BufferedReader(open_regular(path)) as file:
        first = file.readline(MAX_JSON_BYTES)
    if first.endswith(b"\n") and f'"schema_version": {SCHEMA_VERSION},'.encode() not in first:
        path.rename(path.with_stem(f"{path.stem}-before-{SCHEMA_VERSION}"))


def _mend_tail(file: FileIO) -> None:
    """Cut off what follows the last newline: a line is an event only once its newline is written."""
    end = os.fstat(file.fileno()).st_size
    newline = -1
    while end and newline < 0:
        start = max(0, end - _BLOCK_BYTES)
        newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        end = start + newline + 1
    file.truncate(end)
