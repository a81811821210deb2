"""The run's diary: one JSON line per event, from which any other reporter can be caught up later."""

from __future__ import annotations

import json
from pathlib import Path

from kaggle_ray.errors import StoreError
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.codec import SCHEMA_VERSION, envelope_from_json, envelope_to_json
from kaggle_ray.reporters.envelope import Envelope


class JsonlReporter:
    """Appends each event to a file, at once and in a single write.

    A line that a crash tore is cut off when the file is opened again; every whole line of before stays. A file that
    another version of the schema wrote is set aside, as ``events-before-2.jsonl``, so that each file can be read.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path`` for appending; it and its folder are made where they are missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _set_aside_older(path)
        _mend_tail(path)
        self._path = path
        self._file = path.open("ab", buffering=0)

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
    *lines, _torn_or_empty = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            envelope = envelope_from_json(json.loads(line))
        except ValueError as error:
            raise StoreError(f"{path}, line {number}: expected a JSON object, got {line[:80]!r}.") from error
        except StoreError as error:
            raise type(error)(f"{path}, line {number}: {error}") from error
        last_by_id.pop(envelope.event_id, None)
        last_by_id[envelope.event_id] = envelope
    return list(last_by_id.values())


def _set_aside_older(path: Path) -> None:
    """Rename a file whose first line another version of the schema wrote."""
    if not path.exists():
        return
    with path.open("rb") as file:
        first = file.readline()
    if first.endswith(b"\n") and f'"schema_version": {SCHEMA_VERSION},'.encode() not in first:
        path.rename(path.with_stem(f"{path.stem}-before-{SCHEMA_VERSION}"))


def _mend_tail(path: Path) -> None:
    """Cut off what follows the file's last newline: a line is an event only once its newline is written."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
