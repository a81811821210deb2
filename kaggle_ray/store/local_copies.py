"""Copies on this machine of what a run has elsewhere, so that it can be memory-mapped: an entry of the cache."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from kaggle_ray.cache.budget import reserve
from kaggle_ray.cache.entries import Description, EntryUse
from kaggle_ray.cache.folder import written_cache
from kaggle_ray.untrusted import read_regular

_LAST_FILE = "whole"
"""A file that is there as soon as one was copied."""


class LocalCopies:
    """Files that are copied once per machine, by one process while the others wait, and never change.

    All copies of a run are one entry of the cache, which is not evicted while a process uses the run.
    """

    def __init__(self, uri: str, cache_dir: Path) -> None:
        """Nothing is written before something is copied.

        Args:
            uri: of the run.
            cache_dir: this machine's cache.
        """
        self._uri = uri
        self._cache_dir = cache_dir
        self._folder = cache_dir / "runs" / hashlib.sha256(uri.encode()).hexdigest()[:16]

    @property
    def absent(self) -> Path:
        """A file that is not there, for what is not there to be copied."""
        return self._folder / "absent"

    @cached_property
    def _use(self) -> EntryUse:
        return EntryUse(self._cache_dir, "runs", self._folder.name)

    def content(self, key: str, *, version: str, max_bytes: int) -> bytes | None:
        """Return what the copy of one version of a file holds, None where there is no copy.

        Raises:
            StoreError: the cache folder cannot be written, or the copy is too large.
        """
        with written_cache(self._cache_dir):
            try:
                return read_regular(self._place(key, version), max_bytes=max_bytes)
            except FileNotFoundError:
                return None

    def keep(self, key: str, data: bytes, *, version: str) -> None:
        """Keep a copy of a file that has been read; it raises what ``of`` raises."""

        def write(path: Path) -> None:
            path.write_bytes(data)

        self.of(key, version=version, num_bytes=len(data), fetch=write)

    def of(self, key: str, *, version: str, num_bytes: int, fetch: Callable[[Path], None]) -> Path:
        """Return the copy of one version of a file, which is made where there is none.

        Args:
            key: of the file, whose name the copy has.
            version: changes whenever the content does.
            num_bytes: of the content.
            fetch: writes the content to a path.

        Raises:
            NoRoomError: it does not fit into the cache's budget or on the disk.
            StoreError: the cache folder cannot be written.
        """
        with written_cache(self._cache_dir):
            copy = self._place(key, version)
            if copy.exists():
                return copy
            with self._use.filling():
                if not copy.exists():
                    reserve(self._use, self._grown(num_bytes), num_new_bytes=num_bytes)
                    copy.parent.mkdir(exist_ok=True)
                    partial = copy.with_name(f".{uuid.uuid4().hex}")
                    try:
                        fetch(partial)
                        partial.replace(copy)
                    finally:
                        partial.unlink(missing_ok=True)
                    (self._use.folder / _LAST_FILE).touch()
            return copy

    def _place(self, key: str, version: str) -> Path:
        folder = hashlib.sha256(f"{key} {version}".encode()).hexdigest()[:32]
        return self._use.folder / folder / key.rpartition("/")[2]

    def _grown(self, num_bytes: int) -> Description:
        """Return the description of the entry with one more file."""
        known = self._use.description()
        num_files, num_before = (0, 0) if known is None else (known.num_files, known.num_bytes)
        return Description(
            source=self._uri,
            content="files of a run",
            num_files=num_files + 1,
            num_bytes=num_before + num_bytes,
            last_file=_LAST_FILE,
        )
