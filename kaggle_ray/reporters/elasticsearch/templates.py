"""What the documents hold: a strict mapping for each kind, so that nothing is stored that no search would find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

Kind = Literal["run", "experiment", "trial", "epoch", "ensemble", "submission"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FieldType = Mapping[str, Any]

_KEYWORD: FieldType = {"type": "keyword", "ignore_above": 1024}
_DATE: FieldType = {"type": "date"}
_DOUBLE: FieldType = {"type": "double"}
_INTEGER: FieldType = {"type": "integer"}
_LONG: FieldType = {"type": "long"}
_BOOLEAN: FieldType = {"type": "boolean"}
_FLATTENED: FieldType = {"type": "flattened", "ignore_above": 1024}
_NUMBERS: FieldType = {"type": "object", "dynamic": True, "subobjects": False}
"""Name -> number, of names that are not known beforehand."""

_COMMON: dict[str, FieldType] = {
    "@timestamp": _DATE,  # of the event that the document was last changed by
    "event_id": _KEYWORD,
    "kind": _KEYWORD,
    "competition": _KEYWORD,
    "run_id": _KEYWORD,
    "user": _KEYWORD,
    "host": _KEYWORD,
    "metric": _KEYWORD,
    "greater_is_better": _BOOLEAN,
}
_OF_EXPERIMENT: dict[str, FieldType] = {"experiment_id": _KEYWORD, "name": _KEYWORD}
_OF_TRIAL: dict[str, FieldType] = {**_OF_EXPERIMENT, "rows": _KEYWORD, "fold": _INTEGER}

FIELDS: dict[Kind, dict[str, FieldType]] = {
    "run": {
        "status": _KEYWORD,
        "launcher": _KEYWORD,
        "num_slots": _INTEGER,
        "num_folds": _INTEGER,
        "num_experiments": _INTEGER,
        "run_dir": _KEYWORD,
        "how_to_resume": _KEYWORD,
        "started_at": _DATE,
        "ended_at": _DATE,
        "duration_s": _DOUBLE,
        "error": _KEYWORD,
        "warnings": _KEYWORD,
        "note": _KEYWORD,
        "score": _DOUBLE,
        "submission": _KEYWORD,
        "report": _KEYWORD,
    },
    "experiment": {
        **_OF_EXPERIMENT,
        "hyperparameters": _FLATTENED,
        "numeric_hyperparameters": _NUMBERS,
        "epochs": _INTEGER,
        "num_folds": _INTEGER,
        "folds_done": _INTEGER,
        "score": _DOUBLE,
        "score_of": _KEYWORD,
        "score_std": _DOUBLE,
        "rank_by": _DOUBLE,
        "weight": _DOUBLE,
        "duration_s": _DOUBLE,
        "error": _KEYWORD,
    },
    "trial": {
        **_OF_TRIAL,
        "status": _KEYWORD,
        "epoch": _INTEGER,
        "epochs": _INTEGER,
        "score": _DOUBLE,
        "started_at": _DATE,
        "ended_at": _DATE,
        "duration_s": _DOUBLE,
        "error": _KEYWORD,
        "reason": _KEYWORD,
        "warnings": _KEYWORD,
    },
    "epoch": {
        **_OF_TRIAL,
        "epoch": _INTEGER,
        "train_loss": _DOUBLE,
        "valid_loss": _DOUBLE,
        "score": _DOUBLE,
        "inner_score": _DOUBLE,
        "lr": _DOUBLE,
        "duration_s": _DOUBLE,
        "samples_per_s": _DOUBLE,
        "resident_bytes": _LONG,
        "gpu_peak_bytes": _LONG,
    },
    "ensemble": {
        "method": _KEYWORD,
        "weights": _FLATTENED,
        "num_members": _INTEGER,
        "score": _DOUBLE,
        "score_in_sample": _DOUBLE,
        "score_full_size": _DOUBLE,
    },
    "submission": {"name": _KEYWORD, "location": _KEYWORD, "score": _DOUBLE, "error": _KEYWORD},
}
"""Kind -> name of a field of its documents, beside those that all have -> its type."""


def index_of(prefix: str, kind: Kind) -> str:
    """Return the index that holds the documents of a kind."""
    return f"{prefix}-{kind}s"


def component_template() -> dict[str, Any]:
    """Return what the indices of all kinds have in common."""
    numbers = {"path_match": [f"{name}.*" for name in _number_objects()], "mapping": _DOUBLE}
    return {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {"dynamic": "strict", "properties": _COMMON, "dynamic_templates": [{"numbers": numbers}]},
    }


def index_template(prefix: str, kind: Kind) -> dict[str, Any]:
    """Return the template of the index of a kind, arguments of the client's ``put_index_template``."""
    return {
        "name": index_of(prefix, kind),
        "index_patterns": [index_of(prefix, kind)],
        "composed_of": [prefix],
        "priority": 200,  # above Elasticsearch's own
        "template": {"mappings": {"properties": FIELDS[kind]}},
    }


def properties_of(kind: Kind) -> dict[str, FieldType]:
    """Return all fields of the documents of a kind, with their types."""
    return {**_COMMON, **FIELDS[kind]}


def _number_objects() -> list[str]:
    return sorted({name for of_kind in FIELDS.values() for name, type_ in of_kind.items() if type_ is _NUMBERS})
