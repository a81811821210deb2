"""The run's diary: one JSON line per event, from which any other reporter can be caught up later."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kaggle_ray.errors import JsonShapeError, StoreError
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.codec import SCHEMA_VERSION, envelope_from_json, envelope_to_json
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.typed_json import parse_json

if TYPE_CHECKING:
    from kaggle_ray.store.diary import Diary

logger = logging.getLogger(__name__)


class JsonlReporter:
    """Appends each event to a diary, as a line.

    What another version of the schema wrote is set aside, as ``events-before-2.jsonl``, so that each can be read.
    """

    def __init__(self, diary: Diary) -> None:
        """Begin to write after what is there."""
        self._diary = diary
        version = f'"schema_version": {SCHEMA_VERSION},'.encode()
        diary.begin(is_readable=lambda line: version in line, aside=f"before-{SCHEMA_VERSION}")

    def emit(self, envelope: Envelope) -> None:
        """Append one event.

        Raises:
            OSError: the line could not be written whole, as on a full disk.
        """
        self._diary.append(json.dumps(envelope_to_json(envelope), allow_nan=False).encode())

    def close(self) -> None:
        """Write what is left, and let go of the diary."""
        self._diary.close()


_JSONL_IS_A_REPORTER: type[Reporter] = JsonlReporter


def read_events(diary: Diary) -> list[Envelope]:
    """Return the events of a diary by time of writing; of those with one event_id (a trial run again) only the last.

    A torn last line is skipped, for a driver may be at work.

    Raises:
        StoreError: a line before the last is not an event.
        SchemaVersionError: another version wrote a line.
    """
    last_by_id: dict[str, Envelope] = {}
    for number, line in enumerate(diary.lines(), start=1):
        envelope = _read(line, where=f"{diary.location}, line {number}")
        last_by_id.pop(envelope.event_id, None)
        last_by_id[envelope.event_id] = envelope
    return list(last_by_id.values())


class DiaryHistory:
    """Numbers the events of a diary by its lines, for what tells a service of them; see ``History``."""

    def __init__(self, diary: Diary) -> None:
        """Nothing is read yet."""
        self._diary = diary
        self._unreadable: set[int] = set()

    def __len__(self) -> int:
        """Return the number of whole lines."""
        return len(self._diary.lines())

    def since(self, number: int) -> Iterator[tuple[int, Envelope]]:
        """Yield the events after the first ``number`` lines; a line that is none costs one warning, and is left out."""
        for line_number, line in enumerate(self._diary.lines()[number:], start=number + 1):
            try:
                yield line_number, _read(line, where=f"{self._diary.location}, line {line_number}")
            except StoreError as error:
                if line_number not in self._unreadable:
                    logger.warning("a line of the run's diary is not delivered: %s", error)
                    self._unreadable.add(line_number)


def _read(line: bytes, *, where: str) -> Envelope:
    """Return the event of a line. Raises StoreError, or SchemaVersionError of another version's."""
    try:
        value = parse_json(line, where=where)
    except JsonShapeError as error:
        raise StoreError(f"{where}: expected a JSON object, got {line[:80]!r}.") from error
    try:
        return envelope_from_json(value)
    except StoreError as error:
        raise type(error)(f"{where}: {error}") from error
