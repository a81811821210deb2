"""Runs that were asked for the same as a new one, on other data or by other code: why the command does not go on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from kaggle_ray.errors import StoreError
from kaggle_ray.store.changes import Change
from kaggle_ray.store.record import RunIdentity
from kaggle_ray.store.run import FAST_DEV, RUN_FILE, RunStore
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


def earlier_run(run_dir: Path, identity: RunIdentity, files: Mapping[str, str]) -> EarlierRun | None:
    """Return the last run beside ``run_dir`` that was asked for the same and differs in content, None if none was.

    Args:
        run_dir: of the new run.
        identity: of the new run, see ``identity_of``.
        files: of its content.
    """
    asked = _asked(identity)
    record_files = [file for file in run_dir.parent.glob(f"*/{RUN_FILE}") if not file.parent.name.startswith(FAST_DEV)]
    for file in sorted(record_files, key=lambda file: file.stat().st_mtime, reverse=True):
        store = RunStore(file.parent)
        with suppress(StoreError):  # of another version, or damaged: it says nothing about this one
            record = store.record()
            if record and _asked(record.identity) == asked and (found := store.changes_to(identity, files)):
                return EarlierRun(run_id=file.parent.name, changes=found)
    return None


def _asked(identity: RunIdentity) -> str:
    return canonical_json([[each.hyperparameters for each in identity.experiments], asdict(identity.settings)])
