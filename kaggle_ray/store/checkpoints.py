"""The checkpoints of a trial that has not ended: the last one, and the one before it, for where that was damaged."""

from __future__ import annotations

import re

from kaggle_ray.store.attempt import checkpoint_folder
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.types import Trial

_KEPT = 2
_NUMBERED = re.compile(r".*/state(\d*)\.safetensors")
"""Without a number where a version wrote it that kept one alone."""


def read_last(blobs: Blobs, trial: Trial) -> bytes | None:
    """Return the last checkpoint of a trial, None where there is none."""
    while keys := _keys(blobs, trial):
        if (data := blobs.get(keys[-1])) is not None:  # else who writes has removed it, as it was the last no more
            return data
    return None


def save(blobs: Blobs, trial: Trial, data: bytes) -> None:
    """Add a checkpoint, as a whole or not at all; of the others the last one stays."""
    keys = _keys(blobs, trial)
    blobs.put(f"{checkpoint_folder(trial)}/state{_number(keys[-1]) + 1 if keys else 1}.safetensors", data)
    for key in keys[: len(keys) + 1 - _KEPT]:
        blobs.delete_file(key)


def has_one_before(blobs: Blobs, trial: Trial) -> bool:
    """Return whether there is a checkpoint beside the last one."""
    return len(_keys(blobs, trial)) > 1


def remove_last(blobs: Blobs, trial: Trial) -> None:
    """Remove the last checkpoint, so that the trial goes on from the one before; without one it begins anew."""
    if keys := _keys(blobs, trial):
        blobs.delete_file(keys[-1])


def _keys(blobs: Blobs, trial: Trial) -> list[str]:
    """Return the keys of the checkpoints, the last one last."""
    return sorted(filter(_NUMBERED.fullmatch, blobs.list(f"{checkpoint_folder(trial)}/")), key=_number)


def _number(key: str) -> int:
    found = _NUMBERED.fullmatch(key)
    return int(found[1] or 0) if found else 0
