"""The JSON texts of the store: every one has an integer schema_version, and an unknown one is refused by name."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Mapping

import numpy as np

from kaggle_ray.errors import CorruptBlobError, SchemaVersionError
from kaggle_ray.types import EpochMetrics, Experiment, JsonValue, Lineage, Trial, TrialResult

SCHEMA_VERSION = 3
"""1: the first. 2: a lineage tells whether it is proven. 3: ids are made of content, which run.json tells."""


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
        value = json.loads(data)
    except ValueError as error:
        raise CorruptBlobError(f"{where}: is not JSON: {error}. Remove the file if you can spare it.") from error
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{where}: expected schema_version {SCHEMA_VERSION}, got {version!r}. "
            f"Use the version of kaggle_ray that wrote it, or start another run with --run-id."
        )
    return {key: item for key, item in value.items() if key != "schema_version"}


def experiment_to_json(experiment: Experiment) -> dict[str, JsonValue]:
    """Return the JSON value of an experiment."""
    return dataclasses.asdict(experiment)


def experiment_from_json(value: Mapping[str, JsonValue]) -> Experiment:
    """Return the experiment of a JSON value."""
    return Experiment(**value)


def result_to_json(result: TrialResult) -> dict[str, JsonValue]:
    """Return the JSON value of a trial's result; what is not finite becomes null."""
    history = [{name: _finite(item) for name, item in dataclasses.asdict(epoch).items()} for epoch in result.history]
    return {**dataclasses.asdict(result), "history": history}


def result_from_json(value: Mapping[str, JsonValue]) -> TrialResult:
    """Return the trial's result of a JSON value; null in the history becomes NaN."""
    history = tuple(EpochMetrics(**_with_nan(epoch)) for epoch in value["history"])
    return TrialResult(**{**value, "trial": Trial(**value["trial"]), "history": history})


def lineage_to_json(lineage: Lineage) -> dict[str, JsonValue]:
    """Return the JSON value of a lineage: the trained rows as a base64 bitmap."""
    bits = np.packbits(lineage.trained_rows).tobytes()
    return {
        "folds_digest": lineage.folds_digest,
        "num_rows": len(lineage.trained_rows),
        "trained_rows": base64.b64encode(bits).decode(),
        "parents": list(lineage.parents),
        "epoch_rule": lineage.epoch_rule,
        "is_proven": lineage.is_proven,
        "weights_digest": lineage.weights_digest,
    }


def lineage_from_json(value: Mapping[str, JsonValue]) -> Lineage:
    """Return the lineage of a JSON value."""
    bits = np.frombuffer(base64.b64decode(value["trained_rows"]), dtype=np.uint8)
    return Lineage(
        folds_digest=value["folds_digest"],
        trained_rows=np.unpackbits(bits, count=value["num_rows"]).astype(np.bool_),
        parents=tuple(value["parents"]),
        epoch_rule=value["epoch_rule"],
        is_proven=value["is_proven"],
        weights_digest=value["weights_digest"],
    )


def _with_nan(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: math.nan if item is None and name != "inner_score" else item for name, item in values.items()}


def _finite(item: float | None) -> float | None:
    return None if item is None or not math.isfinite(item) else item
