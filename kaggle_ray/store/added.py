"""The experiments that were added to a run when its own were over, beside it and no part of what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.typed_json import from_json
from kaggle_ray.untrusted import MAX_JSON_BYTES, PathPart

ADDED_FILE = "added.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Added:
    """What added.json says."""

    experiments: tuple[PathPart, ...]


def read_added(blobs: Blobs) -> tuple[str, ...]:
    """Return the ids of the experiments that were added, in their order."""
    data = blobs.get(ADDED_FILE, max_bytes=MAX_JSON_BYTES)
    where = f"{blobs.location}/{ADDED_FILE}"
    return () if data is None else from_json(_Added, decode(data, where=where), where=where).experiments


def write_added(blobs: Blobs, experiment_ids: Sequence[str]) -> None:
    """Keep which experiments were added; each of them is saved already."""
    blobs.put(ADDED_FILE, encode({"experiments": list(experiment_ids)}))
