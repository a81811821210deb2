"""How much room the decode-once cache takes, and which of its entries go when there is too little.

An entry is ``<key>.npy`` with its description ``<key>.json``. Whoever maps it holds a shared lock on ``<key>.use``, so
that nothing goes that a process is using; the description's time of change is when it was last opened.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from kaggle_ray.errors import ConfigError

_BUDGET_VARIABLE = "KAGGLE_RAY_CACHE_GIB"
_DEFAULT_GIB = 50
_GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheEntry:
    """A set of decoded images on this machine."""

    key: str
    source: str
    """The folder of its first image."""
    kind: str
    num_images: int
    height: int
    width: int
    num_bytes: int
    last_used: datetime
    in_use: bool


def list_entries(cache_dir: Path) -> list[CacheEntry]:
    """Return the entries, the least recently used first."""
    entries = [entry for file in cache_dir.glob("*.json") if (entry := _entry(file)) is not None]
    return sorted(entries, key=lambda entry: (entry.last_used, entry.key))


def evict(cache_dir: Path, keep_bytes: int) -> list[CacheEntry]:
    """Remove the least recently used entries until ``keep_bytes`` are left; return them. What is in use stays."""
    entries = list_entries(cache_dir)
    num_bytes = sum(entry.num_bytes for entry in entries)
    removed: list[CacheEntry] = []
    for entry in entries:
        if num_bytes <= keep_bytes:
            break
        if _remove(cache_dir, entry.key):
            removed.append(entry)
            num_bytes -= entry.num_bytes
    return removed


def make_room(cache_dir: Path, num_bytes: int, budget_bytes: int | None) -> bool:
    """Evict what has to go for ``num_bytes`` more; return whether they fit the budget and the disk."""
    budget = budget_of(cache_dir) if budget_bytes is None else budget_bytes
    if num_bytes > budget:
        return False
    evict(cache_dir, budget - num_bytes)
    used = sum(entry.num_bytes for entry in list_entries(cache_dir))
    return used + num_bytes <= budget and num_bytes <= shutil.disk_usage(cache_dir).free


def budget_of(cache_dir: Path) -> int:
    """Return the bytes that the cache may take: KAGGLE_RAY_CACHE_GIB, else 50 GiB, but no more than half the free disk.

    Raises:
        ConfigError: the variable is no number.
    """
    named = os.environ.get(_BUDGET_VARIABLE)
    if named is None:
        used = sum(entry.num_bytes for entry in list_entries(cache_dir))
        return min(_DEFAULT_GIB * _GIB, (shutil.disk_usage(cache_dir).free + used) // 2)
    try:
        return int(float(named) * _GIB)
    except ValueError:
        raise ConfigError(f"{_BUDGET_VARIABLE}: expected a number of GiB, such as 20, got {named!r}.") from None


def hold(cache_dir: Path, key: str) -> IO[bytes]:
    """Return an open file whose shared lock keeps the entry from being evicted, for as long as the file is open."""
    file = (cache_dir / f"{key}.use").open("wb")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _remove(cache_dir: Path, key: str) -> bool:
    """Remove an entry unless it is in use; the description goes last, so that a removal cut short is repeated."""
    with (cache_dir / f"{key}.use").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        (cache_dir / f"{key}.npy").unlink(missing_ok=True)
        (cache_dir / f"{key}.json").unlink(missing_ok=True)
    return True


def _entry(file: Path) -> CacheEntry | None:
    """Return the entry of a description, None where it was removed in the meantime."""
    try:
        description = json.loads(file.read_text())
        last_used = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except (OSError, ValueError):
        return None
    return CacheEntry(key=file.stem, last_used=last_used, in_use=_is_in_use(file.with_suffix(".use")), **description)


def _is_in_use(file: Path) -> bool:
    if not file.exists():
        return False
    with file.open("wb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
