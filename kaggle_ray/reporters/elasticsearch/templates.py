"""What the documents hold: a strict mapping for each kind, so that nothing is stored that no search would find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from kaggle_ray.types import EpochMetrics

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
_NUMBERS: FieldType = {"type": "object", "dynamic": "true", "subobjects": False}
"""Name -> number, of names that are not known beforehand."""
_WORDS: FieldType = {"type": "object", "dynamic": "true", "subobjects": False}
"""Name -> word, of names that are not known beforehand."""

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


def _of_measurements() -> dict[str, FieldType]:
    """Return a type for each measurement of an epoch: those that are added to EpochMetrics are stored, too."""
    kinds: dict[Any, FieldType] = {Mapping: _NUMBERS, float: _DOUBLE, int: _LONG}
    hints = {name: [hint, *get_args(hint)] for name, hint in get_type_hints(EpochMetrics).items()}
    return {
        name: next(type_ for kind, type_ in kinds.items() if kind in {get_origin(each) or each for each in among})
        for name, among in hints.items()
    }


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
        "categorical_hyperparameters": _WORDS,
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
    "epoch": {**_OF_TRIAL, **_of_measurements()},
    "ensemble": {
        "method": _KEYWORD,
        "combiner": _KEYWORD,
        "weights": _FLATTENED,
        "num_members": _INTEGER,
        "score": _DOUBLE,
        "standard_error": _DOUBLE,
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
    of_names = [
        {"numbers": {"path_match": _below(_NUMBERS), "mapping": _DOUBLE}},
        {"words": {"path_match": _below(_WORDS), "mapping": _KEYWORD}},
    ]
    return {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {"dynamic": "strict", "properties": _COMMON, "dynamic_templates": of_names},
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


def _below(of_type: FieldType) -> list[str]:
    """Return what matches the names below all fields of a type."""
    return sorted({f"{name}.*" for of_kind in FIELDS.values() for name, type_ in of_kind.items() if type_ is of_type})
