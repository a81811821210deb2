"""A submission's JSON as a type: what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kaggle_ray.errors import StoreError
from kaggle_ray.store.run import RunStore
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, Location

FINAL, BASELINE, REFIT = "submission", "baseline", "refit"
"""Names of the submissions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedSubmission:
    """What is kept beside a submission's file."""

    method: str
    """How the ensemble was weighted; ``constant`` for the baseline."""
    score_honest: float | None
    weights: Mapping[str, float] = field(default_factory=dict)
    """Member id -> weight."""
    decision: Mapping[str, JsonValue] = field(default_factory=dict)
    """The decision, as ``Decision.to_json`` writes it."""
    cross_validated_score: float | None = None
    """Honest score of the cross-validated ensemble with the same weights, for a submission of models of all rows."""
    note: str = ""


def saved_submission(store: RunStore, name: str) -> SavedSubmission | None:
    """Return what a run's submission of this name was made of, None where there is none."""
    value = store.submission(name)
    where = f"{store.location}/submissions/{name}.json"
    return None if value is None else from_json(SavedSubmission, value, where=where)


def submission_file(store: RunStore, name: str = FINAL) -> Path:
    """Return a local file with a run's submission of this name, which is only to be read.

    Raises:
        StoreError: there is none.
    """
    if store.submission(name) is None:
        raise StoreError(f"{store.location}: has no submission {name!r} yet. Run its command again to its end.")
    return store.file(Location(f"{store.location}/submissions/{name}.csv"))
