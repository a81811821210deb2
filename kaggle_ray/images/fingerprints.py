"""What is in a file, remembered: a digest of the content by path, length and time of change."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from kaggle_ray.errors import DataError
from kaggle_ray.images.threads import map_in_threads

_FILE = "fingerprints.sqlite"
_WAIT_S = 120
_NUM_NAMED = 5
_NUM_ASKED = 500
"""Paths of one question: sqlite takes no more than 999 parameters in its older versions."""

Stamp = tuple[str, int, int]
"""Path, bytes, and nanoseconds of the last change."""


def content_digests(paths: Sequence[Path], cache_dir: Path) -> list[str]:
    """Return sha256 of each file, reading only those that are new or have changed since another process read them.

    Raises:
        DataError: files are missing; the first few are named.
    """
    stamps = _stamps(paths)
    with closing(sqlite3.connect(cache_dir / _FILE, timeout=_WAIT_S, isolation_level=None)) as connection:
        known = _known(connection, stamps)
        new = [stamp for stamp in dict.fromkeys(stamps) if stamp not in known]
        if new:
            digests = map_in_threads(_digest_of, new)
            known |= dict(zip(new, digests, strict=True))
            _remember(connection, [(*stamp, digest) for stamp, digest in zip(new, digests, strict=True)])
    return [known[stamp] for stamp in stamps]


def _known(connection: sqlite3.Connection, stamps: Sequence[Stamp]) -> dict[Stamp, str]:
    """Return the digests of the files that have not changed since they were read."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'fingerprints'").fetchall():
        return {}
    wanted = set(stamps)
    names = list({name for name, _, _ in stamps})
    known: dict[Stamp, str] = {}
    for start in range(0, len(names), _NUM_ASKED):
        asked = names[start : start + _NUM_ASKED]
        marks = ", ".join("?" * len(asked))
        rows = connection.execute(
            f"SELECT path, size, changed, digest FROM fingerprints WHERE path IN ({marks})",
            asked,
        )
        known |= {stamp: digest for *parts, digest in rows if (stamp := tuple(parts)) in wanted}
    return known


def _remember(connection: sqlite3.Connection, rows: Sequence[tuple[str, int, int, str]]) -> None:
    """Write paths, bytes, times and digests; with the table, where it is new, so that the disk is waited for once."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS fingerprints (path TEXT PRIMARY KEY, size INT, changed INT, digest TEXT)"
        )
        connection.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?, ?)", rows)


def _stamps(paths: Sequence[Path]) -> list[Stamp]:
    stamps: list[Stamp] = []
    missing: list[str] = []
    real_folders: dict[str, str] = {}
    for path in paths:
        try:
            stamps.append(_stamp_of(os.fspath(path), real_folders))
        except OSError:
            missing.append(str(path))
    if missing:
        raise DataError(f"{len(missing)} images are missing: {', '.join(missing[:_NUM_NAMED])}.")
    return stamps


def _stamp_of(name: str, real_folders: dict[str, str]) -> Stamp:
    """Return a file's stamp; folders are resolved once, which is most of what resolving a path costs."""
    status = os.lstat(name)
    if stat.S_ISLNK(status.st_mode):
        name = os.path.realpath(name)
        status = os.stat(name)
        return name, status.st_size, status.st_mtime_ns
    folder, file = os.path.split(name)
    if folder not in real_folders:
        real_folders[folder] = os.path.realpath(folder)
    return os.path.join(real_folders[folder], file), status.st_size, status.st_mtime_ns


def _digest_of(stamp: Stamp) -> str:
    try:
        return hashlib.sha256(Path(stamp[0]).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{stamp[0]}: cannot be read: {error.strerror}.") from error
