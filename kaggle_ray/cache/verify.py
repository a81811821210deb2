"""Reads all that is sealed on this machine: what goes bad on the disk itself, with no write, nothing else sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.cache.entries import CacheEntry, EntryKind, EntryUse, list_entries
from kaggle_ray.cache.seal import SEAL_FILE, is_as_sealed, read_seal

_SEALED: Mapping[str, EntryKind] = {"images": "images", "features": "features", "answers": "answers"}
"""Folders of entries of one file with a seal beside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What was read, and what of it is not what was sealed."""

    num_entries: int
    num_bytes: int
    """Bytes of the files that were read."""
    broken: Sequence[CacheEntry]
    """Entries whose seal is removed, so that whoever opens them next makes them anew."""


def verify(cache_dir: Path) -> Verified:
    """Compare decoded images, features and answers with their digests, and break the seal of what differs.

    Copies of shared data have no such seal, and are not read. A process that has mapped a broken file goes on with it.
    Who opens an entry meanwhile waits until it is read.

    Args:
        cache_dir: the cache folder.
    """
    num_entries, num_bytes, broken = 0, 0, []
    for entry in list_entries(cache_dir):
        if (kind := _SEALED.get(entry.folder.parent.name)) is None:
            continue
        use = EntryUse(cache_dir, kind, entry.folder.name)
        with closing(use), use.filling():
            seal_file = entry.folder / SEAL_FILE
            if (seal := read_seal(seal_file)) is None:
                continue
            files = [each for each in entry.folder.glob("*.npy") if not each.name.startswith("building-")]
            num_entries, num_bytes = num_entries + 1, num_bytes + sum(file.stat().st_size for file in files)
            if not files or not all(is_as_sealed(file, seal) for file in files):
                seal_file.unlink()
                broken.append(entry)
    return Verified(num_entries=num_entries, num_bytes=num_bytes, broken=broken)
