"""The entries of the cache: decoded images, features, teachers' answers, copies of shared data and of runs.

Users share their locks.

::

    <cache_dir>/<kind>/<key>/      the content
                       <key>.json  its description, written before the content, so that what is half done is seen;
                                   its time of change is when the entry was last used
                       <key>.use   who uses the entry holds a shared lock on it, who removes it an exclusive one
                       <key>.lock  held by the one process that fills the entry
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from filelock import FileLock, Timeout

from kaggle_ray.errors import StoreError
from kaggle_ray.progress import Counter
from kaggle_ray.typed_json import from_json, parse_json
from kaggle_ray.untrusted import MAX_JSON_BYTES, PathPart, Size, read_regular

EntryKind = Literal["images", "features", "answers", "data", "runs"]

_TELL_EVERY_S = 5.0
"""Seconds from one word of who waits to the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What an entry is."""

    source: str
    """The folder of its first image, or the URI of the files."""
    content: str
    """The kind of pixels, ``features``, ``answers``, or ``files``."""
    num_files: Size
    num_bytes: Size
    """Bytes of the whole entry, even while it is half done: its part of the budget."""
    last_file: PathPart
    """Written last, below the entry's folder: its existence means that the entry is whole."""
    sides: tuple[Size, Size] | None = None
    """Height and width in pixels of decoded images, or of those that features are of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheEntry:
    """An entry that was found on this machine."""

    folder: Path
    description: Description
    last_used: datetime

    @property
    def num_bytes(self) -> int:
        """Bytes that the entry takes of the budget."""
        return self.description.num_bytes

    @property
    def is_whole(self) -> bool:
        """Whether it was filled to the end."""
        return (self.folder / self.description.last_file).exists()

    @property
    def is_in_use(self) -> bool:
        """Whether a running process uses it, or is filling it."""
        try:
            with self.folder.with_suffix(".use").open("ab") as file:
                return not _lock_alone(file)
        except FileNotFoundError:
            return False
        except OSError:  # another user's
            return True


class EntryUse:
    """This process's use of an entry, which is not evicted before ``close``, or before the process ends.

    There need not be an entry yet: to fill it, use it first.
    """

    def __init__(self, cache_dir: Path, kind: EntryKind, key: str) -> None:
        """Wait for a removal that is going on, then keep others from beginning one."""
        self.cache_dir = cache_dir
        self.folder = cache_dir / kind / key
        """The folder of the content, which ``describe`` makes."""
        self._file = _hold(self.folder.with_suffix(".use"))

    @contextmanager
    def filling(self, *, waits: bool = True) -> Iterator[bool]:
        """Hold the lock of the one process that looks whether the entry is whole, and fills it where it is not.

        Another process that fills it is waited for, and that this one waits is told as progress. Yield whether the lock
        is held: it is not where another has it, and the caller does not wait.
        """
        lock = FileLock(self.folder.with_suffix(".lock"))
        is_held = _acquired(lock, timeout_s=0)
        if not is_held and waits:
            counter = Counter("waiting for another process", 0)
            while not _acquired(lock, timeout_s=_TELL_EVERY_S):
                counter.add(1)
            counter.end()
            is_held = True
        try:
            yield is_held
        finally:
            if is_held:
                lock.release()

    def description(self) -> Description | None:
        """Return the description, None where the entry was not begun."""
        return _read(self.folder.with_suffix(".json"))

    def describe(self, description: Description) -> None:
        """Begin the entry: write what it will be, and make its folder."""
        file = self.folder.with_suffix(".json")
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(dataclasses.asdict(description)))
        partial.replace(file)
        self.folder.mkdir(exist_ok=True)

    def touch(self) -> None:
        """Note that the entry is used now."""
        os.utime(self.folder.with_suffix(".json"))

    def discard(self) -> None:
        """Take back an entry that came to nothing; only while it is being filled."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".json").unlink(missing_ok=True)

    def close(self) -> None:
        """Let others evict the entry."""
        self._file.close()


def list_entries(cache_dir: Path) -> list[CacheEntry]:
    """Return the entries, whole or half done, the least recently used first."""
    entries = [entry for file in cache_dir.glob("*/*.json") if (entry := _entry(file)) is not None]
    return sorted(entries, key=lambda entry: (entry.last_used, entry.folder))


def remove_entry(folder: Path) -> bool:
    """Remove an entry unless it is in use; return whether it is gone.

    What tells that it is whole goes first and its description last, so that a removal cut short is seen and repeated.
    The locks go with it: who holds ``.lock`` holds ``.use``, and who waited for ``.use`` looks whether it still exists.
    """
    use, description = folder.with_suffix(".use"), _read(folder.with_suffix(".json"))
    try:
        with use.open("ab") as file:
            if not _lock_alone(file):
                return False
            if description is not None:
                (folder / description.last_file).unlink(missing_ok=True)
            if folder.exists():
                shutil.rmtree(folder)
            for suffix in (".partial", ".json", ".lock", ".use"):
                folder.with_suffix(suffix).unlink(missing_ok=True)
    except OSError:
        return False
    return True


def remove_strays(cache_dir: Path) -> None:
    """Remove what never became an entry, or has a description that another version of the code wrote."""
    for use in cache_dir.glob("*/*.use"):
        if _read(use.with_suffix(".json")) is None:
            remove_entry(use.with_suffix(""))


def _hold(path: Path) -> IO[bytes]:
    """Return an open file with a shared lock, which is not one that was removed while this process waited for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("ab")
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        file.close()


def _acquired(lock: FileLock, *, timeout_s: float) -> bool:
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        return False
    return True


def _lock_alone(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _entry(file: Path) -> CacheEntry | None:
    """Return the entry of a description, None where it was removed in the meantime."""
    description = _read(file)
    try:
        last_used = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    if description is None:
        return None
    return CacheEntry(folder=file.with_suffix(""), description=description, last_used=last_used)


def _read(file: Path) -> Description | None:
    """Return what a file describes, None where there is none of ours."""
    try:
        text = read_regular(file, max_bytes=MAX_JSON_BYTES)
        return from_json(Description, parse_json(text, where=str(file)), where=str(file))
    except (FileNotFoundError, StoreError):
        return None
