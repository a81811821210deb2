"""Runs that were asked for the same as a new one, on other data or by other code: why the command does not go on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from kaggle_ray.errors import StoreError
from kaggle_ray.store.changes import Change
from kaggle_ray.store.opening import list_runs_of
from kaggle_ray.store.record import RunIdentity
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import JsonValue, canonical_json


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierRun:
    """A run of the same hyperparameters and settings, and what has changed since it was begun."""

    run_id: str
    changes: tuple[Change, ...]

    def words(self) -> tuple[str, str]:
        """Return the run's id, and the changes as one text."""
        return self.run_id, "; ".join(map(str, self.changes))

    def to_json(self) -> dict[str, JsonValue]:
        """Return what run.json keeps of it."""
        return {"run_id": self.run_id, "changed": [str(change) for change in self.changes]}


def earlier_run(runs: str | Path, identity: RunIdentity, files: Mapping[str, str]) -> EarlierRun | None:
    """Return the last run in ``runs`` that was asked for the same and differs in content, None if none was.

    Args:
        runs: the folder of the run folders.
        identity: of the new run, see ``identity_of``.
        files: of its content.
    """
    asked = _asked(identity)
    for store in sorted(list_runs_of(runs, identity.competition), key=RunStore.begun_at, reverse=True):
        with suppress(StoreError):  # of another version, or damaged: it says nothing about this one
            record = store.record()
            if record and _asked(record.identity) == asked and (found := store.changes_to(identity, files)):
                return EarlierRun(run_id=store.run_id, changes=found)
    return None


def _asked(identity: RunIdentity) -> str:
    searched = [] if identity.search is None else [asdict(identity.search)]
    return canonical_json(
        [[each.hyperparameters for each in identity.experiments], asdict(identity.settings), *searched]
    )
