"""Pictures and the like that events of a run name by their keys, for whoever shows the events."""

from __future__ import annotations

from kaggle_ray.store.blobs import Blobs
from kaggle_ray.untrusted import is_file_key

_FOLDER = "artifacts/"
_MAX_BYTES = 2**25


def save_artifact(blobs: Blobs, name: str, data: bytes) -> str:
    """Save an artifact of a run, or replace it; return the key that events name it by."""
    key = f"{_FOLDER}{name}"
    blobs.put(key, data)
    return key


def read_artifact(blobs: Blobs, key: str) -> bytes | None:
    """Return the artifact that an event names, None where it is gone, or the key is of something else than one.

    Raises:
        StoreError: it is larger than any of ours.
    """
    if not key.startswith(_FOLDER) or not is_file_key(key):
        return None  # an event may be a team mate's, and is not to have other files shown
    return blobs.get(key, max_bytes=_MAX_BYTES)
