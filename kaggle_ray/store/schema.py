"""The JSON texts of the store: every one has an integer schema_version, and an unknown one is refused by name."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.errors import CorruptBlobError, JsonShapeError, SchemaVersionError
from kaggle_ray.typed_json import from_json, parse_json
from kaggle_ray.types import (
    EpochRule,
    Experiment,
    JsonValue,
    Lineage,
    PseudolabelSource,
    Trial,
    TrialResult,
    short_digest,
)

SCHEMA_VERSION = 3
"""1: the first. 2: a lineage tells whether it is proven. 3: ids are made of content, which run.json tells."""

_DIGEST = "sha256"


def encode(value: Mapping[str, JsonValue]) -> bytes:
    """Return the JSON text of ``value`` with the schema version; NaN raises ValueError."""
    return (json.dumps({"schema_version": SCHEMA_VERSION, **value}, indent=1, allow_nan=False) + "\n").encode()


def decode(data: bytes, *, where: str) -> dict[str, JsonValue]:
    """Return the object of a JSON text.

    Raises:
        CorruptBlobError: it is not a JSON object.
        SchemaVersionError: it was written by another version of the schema.
    """
    try:
        value = parse_json(data, where=where)
    except JsonShapeError as error:
        raise CorruptBlobError(f"{error} Remove the file if you can spare it.") from error
    fields = dict(value) if isinstance(value, Mapping) else {}
    version = fields.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{where}: expected schema_version {SCHEMA_VERSION}, got {version!r}. "
            f"Use the version of kaggle_ray that wrote it, or start another run with --run-id."
        )
    return fields


def sealed(value: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a JSON object with a digest of all that it says, so that a digit that has flipped on the disk is seen."""
    return {**value, _DIGEST: short_digest(value, num_hex=64)}


def unsealed(value: Mapping[str, JsonValue], *, where: str, way_out: str) -> dict[str, JsonValue]:
    """Return what ``sealed`` was given; an object without a digest, of before there was any, as it is.

    Raises:
        CorruptBlobError: it is not what was sealed; ``way_out`` ends the message.
    """
    fields = dict(value)
    expected = fields.pop(_DIGEST, None)
    if expected is not None and expected != (got := short_digest(fields, num_hex=64)):
        raise CorruptBlobError(f"{where}: expected sha256 {expected}, got {got} of what it says. {way_out}")
    return fields


def experiment_to_json(experiment: Experiment) -> dict[str, JsonValue]:
    """Return the JSON value of an experiment."""
    return dataclasses.asdict(experiment)


def result_to_json(result: TrialResult) -> dict[str, JsonValue]:
    """Return the sealed JSON value of a trial's result; what is not finite becomes null."""
    history = [{name: _finite(item) for name, item in dataclasses.asdict(epoch).items()} for epoch in result.history]
    return sealed({**dataclasses.asdict(result), "history": history})


def result_from_json(value: JsonValue, *, where: str, way_out: str) -> TrialResult:
    """Return the trial's result of a JSON value, which is a file or a part of one.

    Raises:
        CorruptBlobError: it does not say what was committed; ``way_out`` ends the message.
        JsonShapeError: it has another shape.
    """
    fields = from_json(dict[str, JsonValue], value, where=where)
    return from_json(TrialResult, unsealed(fields, where=where, way_out=way_out), where=where)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What manifest.json says of an attempt's predictions."""

    valid_ids: tuple[str, ...]
    """Ids of the fold's own rows, in the order of the predictions."""
    test_ids: tuple[str, ...]
    lineage: Mapping[str, JsonValue]
    """What the predictions depend on, as ``lineage_to_json`` writes it."""
    trial: Trial | None = None
    """Trial whose attempt it is; None in a run of before it was written down."""
    num_parameters: int | None = None
    """Parameters of the network as an earlier version wrote them, which the trial's result has now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _StoredLineage:
    """A lineage as it is kept: the trained rows as a base64 bitmap."""

    folds_digest: str
    num_rows: int
    trained_rows: str
    parents: tuple[str, ...]
    epoch_rule: EpochRule
    is_proven: bool
    weights_digest: str
    started_from: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    pseudolabels: tuple[PseudolabelSource, ...] = ()


def lineage_to_json(lineage: Lineage) -> dict[str, JsonValue]:
    """Return the JSON value of a lineage: the trained rows as a base64 bitmap."""
    bits = np.packbits(lineage.trained_rows).tobytes()
    stored = _StoredLineage(
        folds_digest=lineage.folds_digest,
        num_rows=len(lineage.trained_rows),
        trained_rows=base64.b64encode(bits).decode(),
        parents=lineage.parents,
        epoch_rule=lineage.epoch_rule,
        is_proven=lineage.is_proven,
        weights_digest=lineage.weights_digest,
        started_from=dict(lineage.started_from),
        pseudolabels=lineage.pseudolabels,
    )
    return dataclasses.asdict(stored)


def lineage_from_json(value: Mapping[str, JsonValue], *, where: str) -> Lineage:
    """Return the lineage of a JSON value, which is a part of the file ``where``."""
    stored = from_json(_StoredLineage, value, where=where)
    try:
        bits = np.frombuffer(base64.b64decode(stored.trained_rows), dtype=np.uint8)
    except ValueError as error:
        raise JsonShapeError(f"{where}: trained_rows: is not base64: {error}.") from error
    if len(bits) != -(-stored.num_rows // 8):
        raise JsonShapeError(
            f"{where}: trained_rows: expected {counted(stored.num_rows, 'bit')}, got {counted(len(bits), 'byte')}."
        )
    return Lineage(
        folds_digest=stored.folds_digest,
        trained_rows=np.unpackbits(bits, count=stored.num_rows).astype(np.bool_),
        parents=stored.parents,
        epoch_rule=stored.epoch_rule,
        is_proven=stored.is_proven,
        weights_digest=stored.weights_digest,
        pseudolabels=stored.pseudolabels,
        started_from=stored.started_from,
    )


def _finite(item: JsonValue) -> JsonValue:
    return None if isinstance(item, float) and not math.isfinite(item) else item
