"""Removes a run, or what is shared of one, and says before what goes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, LeaseError, StoreError
from kaggle_ray.reporters.texts import bytes_text
from kaggle_ray.share.corner import Corner
from kaggle_ray.share.index import SharedRun
from kaggle_ray.share.keys import is_weights
from kaggle_ray.share.pull import find_shared
from kaggle_ray.store.lease import LEASE_FILES
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.store.run import RUN_FILE, RunStore
from kaggle_ray.store.trials import why_no_run


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What would go."""

    location: str
    sizes: Mapping[str, int]
    """Key -> bytes."""

    def __str__(self) -> str:
        """Return in one line what it is, and how large."""
        totals = dict.fromkeys(("weights", "arrays", "the rest"), 0)
        for key, num_bytes in self.sizes.items():
            totals[_kind_of(key)] += num_bytes
        parts = ", ".join(f"{kind} {bytes_text(total)}" for kind, total in totals.items() if total)
        return f"{self.location}: {counted(len(self.sizes), 'file')}, {bytes_text(sum(self.sizes.values()))}: {parts}"


def contents_of(store: RunStore) -> Contents:
    """Return what a removal of a run would take away.

    Raises:
        StoreError: it is no run.
        LeaseError: a driver is at work on it.
    """
    if store.blobs.written_at(RUN_FILE) is None:
        raise StoreError(f"{why_no_run(store.blobs)} Nothing is removed.")
    if (holder := store.lease.holder()) is not None:
        raise LeaseError(f"{store.location}: a driver is at work on this run ({holder}). Stop it first.")
    return Contents(location=store.location, sizes=store.blobs.sizes(""))


def remove_run(store: RunStore) -> None:
    """Remove all of a run. First run.json: a removal that is cut short leaves no run.

    Raises:
        LeaseError: a driver is at work on it.
    """
    with store.lease.held():
        store.blobs.delete_file(RUN_FILE)
        store.blobs.clear(keep=LEASE_FILES)
    for file in LEASE_FILES:
        store.blobs.delete_file(file)
    if isinstance(store.blobs, LocalBlobs) and not store.blobs.list(""):
        shutil.rmtree(store.blobs.root, ignore_errors=True)


def contents_of_shared(place: str, run_id: str, *, user: str) -> Contents:
    """Return what a removal of a run of one's own would take away from a shared place.

    Raises:
        ConfigError: there is no such run of this user's, or several of that name.
    """
    _, index = _own(place, run_id, user)
    return Contents(location=f"{place}: {index.name}", sizes={key: of.num_bytes for key, of in index.files.items()})


def remove_shared(place: str, run_id: str, *, user: str) -> None:
    """Remove a run of one's own from a shared place; contents that other runs have stay.

    Raises:
        ConfigError: there is no such run of this user's, or several of that name.
        LeaseError: a push under the same name is at work.
    """
    with Corner(place, user).held():
        corner, index = _own(place, run_id, user)
        corner.remove(index)


def _own(place: str, run_id: str, user: str) -> tuple[Corner, SharedRun]:
    found = find_shared(place, user=user, run_id=run_id)
    if len(found) > 1:
        names = ", ".join(revision.index.name for _, revision in found)
        raise ConfigError(f"{place}: {run_id} are {counted(len(found), 'run')}: {names}. Name one as COMPETITION/RUN.")
    ((corner, revision),) = found
    return corner, revision.index


def _kind_of(key: str) -> str:
    if is_weights(key):
        return "weights"
    return "arrays" if key.endswith(".npy") else "the rest"
