"""Envelopes as JSON, and back. Floats that are NaN or infinite become null, and paths become texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import PurePath
from typing import Any

from kaggle_ray.errors import SchemaVersionError, StoreError, suggest
from kaggle_ray.reporters.envelope import KINDS, Envelope
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue

SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """An envelope as it is written; what the event is made of depends on the kind."""

    schema_version: int
    event_id: str
    kind: str
    competition: str
    run_id: str
    host: str
    user: str
    time: float
    event: Mapping[str, JsonValue]


def envelope_to_json(envelope: Envelope) -> dict[str, JsonValue]:
    """Return the envelope as a JSON object, its event_id included."""
    written: dict[str, JsonValue] = _encode(
        _Written(
            schema_version=SCHEMA_VERSION,
            event_id=envelope.event_id,
            kind=envelope.kind,
            competition=envelope.competition,
            run_id=envelope.run_id,
            host=envelope.host,
            user=envelope.user,
            time=envelope.time,
            event=_encode(envelope.event),
        )
    )
    return written


def envelope_from_json(data: JsonValue) -> Envelope:
    """Return the envelope that ``envelope_to_json`` wrote.

    Raises:
        SchemaVersionError: another version wrote it.
        StoreError: it is not an event, or one of an unknown kind.
    """
    version = data.get("schema_version") if isinstance(data, Mapping) else None
    if version != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"event: expected schema_version {SCHEMA_VERSION}, got {version!r}. "
            "Read it with the kaggle_ray that wrote it."
        )
    written = from_json(_Written, data, where="event")
    if written.kind not in KINDS:
        raise StoreError(f"event: unknown kind {written.kind!r}{suggest(written.kind, KINDS)}")
    return Envelope(
        event=from_json(KINDS[written.kind], written.event, where=written.kind),
        competition=written.competition,
        run_id=written.run_id,
        host=written.host,
        user=written.user,
        time=written.time,
    )


def _encode(value: Any) -> Any:
    """Return what JSON has for a value of an event."""
    if is_dataclass(value):
        return {spec.name: _encode(getattr(value, spec.name)) for spec in fields(value)}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value
