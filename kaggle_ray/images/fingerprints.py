"""What is in a file, remembered: a digest of the content by path, length and time of change."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from kaggle_ray.errors import DataError
from kaggle_ray.images.threads import map_in_threads

_FILE = "fingerprints.sqlite"
_WAIT_S = 120
_DAY_S = 86_400
_KEPT_DAYS = 90
"""What nobody asked for in so long is forgotten, and read again if it is asked for."""
_NUM_NAMED = 5

Stamp = tuple[str, int, int]
"""Path, bytes, and nanoseconds of the last change."""


def content_digests(paths: Sequence[Path], cache_dir: Path) -> list[str]:
    """Return sha256 of each file, reading only those that are new or have changed since another process read them.

    Raises:
        DataError: files are missing; the first few are named.
    """
    stamps = _stamps(paths)
    with closing(_connect(cache_dir)) as connection:
        known, stale = _known(connection, stamps)
        new = [stamp for stamp in dict.fromkeys(stamps) if stamp not in known]
        if new:
            known |= dict(zip(new, map_in_threads(_digest_of, new), strict=True))
        if new or stale:
            now = int(time.time())
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?)",
                    [(*stamp, known[stamp], now) for stamp in [*new, *stale]],
                )
                connection.execute("DELETE FROM contents WHERE used < ?", (now - _KEPT_DAYS * _DAY_S,))
    return [known[stamp] for stamp in stamps]


def forget(cache_dir: Path) -> None:
    """Forget all digests: every file is read again when it is asked for."""
    if (cache_dir / _FILE).exists():
        with closing(_connect(cache_dir)) as connection:
            with connection:
                connection.execute("DELETE FROM contents")
            connection.execute("VACUUM")


def _connect(cache_dir: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(cache_dir / _FILE, timeout=_WAIT_S)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS contents (path TEXT PRIMARY KEY, size INT, changed INT, digest TEXT, used INT)"
    )
    return connection


def _known(connection: sqlite3.Connection, stamps: Sequence[Stamp]) -> tuple[dict[Stamp, str], list[Stamp]]:
    """Return the digests that are known, and those of them whose use was last noted more than a day ago."""
    with connection:  # and no lock is held while files are read
        connection.execute("CREATE TEMP TABLE wanted (path TEXT PRIMARY KEY)")
        connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((path,) for path, _, _ in stamps))
        select = "SELECT path, size, changed, digest, used FROM wanted JOIN contents USING (path)"
        rows = connection.execute(select).fetchall()
    wanted, noted_after = set(stamps), time.time() - _DAY_S
    known: dict[Stamp, str] = {}
    stale: list[Stamp] = []
    for path, size, changed, digest, used in rows:
        stamp = (path, size, changed)
        if stamp in wanted:
            known[stamp] = digest
            if used < noted_after:
                stale.append(stamp)
    return known, stale


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
