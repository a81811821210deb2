"""How much room the cache takes, and which of its entries go when there is too little."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from filelock import FileLock

from kaggle_ray.cache.entries import CacheEntry, Description, EntryUse, list_entries, remove_entry, remove_strays
from kaggle_ray.cache.folder import BUDGET_VARIABLE, FOLDER_VARIABLE
from kaggle_ray.errors import ConfigError, NoRoomError

_DEFAULT_GIB = 50
_GIB, _MIB = 2**30, 2**20


def budget_of(cache_dir: Path) -> int:
    """Return the bytes that the cache may take: KAGGLE_RAY_CACHE_GIB, else 50 GiB, but no more than half the free disk.

    Raises:
        ConfigError: the variable is no number.
    """
    named = os.environ.get(BUDGET_VARIABLE)
    if named is None:
        used = sum(entry.num_bytes for entry in list_entries(cache_dir))
        return min(_DEFAULT_GIB * _GIB, (shutil.disk_usage(cache_dir).free + used) // 2)
    try:
        return int(float(named) * _GIB)
    except (ValueError, OverflowError):
        raise ConfigError(f"{BUDGET_VARIABLE}: expected a number of GiB, such as 20, got {named!r}.") from None


def evict(cache_dir: Path, keep_bytes: int) -> list[CacheEntry]:
    """Remove the least recently used entries until ``keep_bytes`` are left; return them. What is in use stays."""
    if not cache_dir.is_dir():
        return []
    removed: list[CacheEntry] = []
    with _one_at_a_time(cache_dir):
        remove_strays(cache_dir)
        entries = list_entries(cache_dir)
        num_bytes = sum(entry.num_bytes for entry in entries)
        for entry in entries:
            if num_bytes <= keep_bytes:
                break
            if remove_entry(entry.folder):
                removed.append(entry)
                num_bytes -= entry.num_bytes
    return removed


def reserve(
    use: EntryUse, description: Description, *, num_new_bytes: int | None = None, budget_bytes: int | None = None
) -> None:
    """Begin an entry, or describe it anew, after evicting what has to go for it: from then on it has its room.

    Nothing goes where all that is unused would not be enough.

    Args:
        use: of the entry.
        description: of the whole entry.
        num_new_bytes: of it that are not on the disk yet; all.
        budget_bytes: that all entries together may take; see ``budget_of``.

    Raises:
        NoRoomError: it does not fit into the budget or on the disk beside what is in use.
    """
    with _one_at_a_time(use.cache_dir):
        remove_strays(use.cache_dir)
        budget = budget_of(use.cache_dir) if budget_bytes is None else budget_bytes
        num_new = description.num_bytes if num_new_bytes is None else num_new_bytes
        others = [entry for entry in list_entries(use.cache_dir) if entry.folder != use.folder]
        unused = [entry for entry in others if not entry.is_in_use]
        num_used, num_unused = (sum(entry.num_bytes for entry in entries) for entries in (others, unused))
        if num_used - num_unused + description.num_bytes > budget:
            raise _over_budget(use, description, budget, num_used - num_unused)
        if num_new > _free(use) + num_unused:
            raise _disk_full(use, description, num_new)
        for entry in unused:
            if num_used + description.num_bytes <= budget and num_new <= _free(use):
                break
            if remove_entry(entry.folder):
                num_used -= entry.num_bytes
        if num_used + description.num_bytes > budget:  # what was unused is used by now
            raise _over_budget(use, description, budget, num_used)
        if num_new > _free(use):
            raise _disk_full(use, description, num_new)
        use.describe(description)


def _one_at_a_time(cache_dir: Path) -> FileLock:
    """Return the lock under which room is counted, made and taken: two that come at once do not take the same."""
    return FileLock(cache_dir / "budget.lock")


def _free(use: EntryUse) -> int:
    return shutil.disk_usage(use.cache_dir).free


def _over_budget(use: EntryUse, description: Description, budget: int, in_use: int) -> NoRoomError:
    return NoRoomError(
        f"{description.source}: needs {description.num_bytes / _MIB:,.1f} MiB of the cache in {use.cache_dir}, which "
        f"may take {budget / _MIB:,.1f} MiB and has {in_use / _MIB:,.1f} MiB in use. {BUDGET_VARIABLE} sets another "
        f"limit (the default is at most half the free disk), {FOLDER_VARIABLE} names another folder."
    )


def _disk_full(use: EntryUse, description: Description, num_new: int) -> NoRoomError:
    return NoRoomError(
        f"{description.source}: needs {num_new / _MIB:,.1f} MiB more on the disk of {use.cache_dir}, where "
        f"{_free(use) / _MIB:,.1f} MiB are free. Free some space, or name another folder in {FOLDER_VARIABLE}."
    )
