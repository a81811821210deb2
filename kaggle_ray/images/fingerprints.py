"""What is in a file, remembered: a digest of the content for as long as the file system says that it is the same."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from kaggle_ray.cache.seal import file_stamp
from kaggle_ray.errors import DataError
from kaggle_ray.images.threads import map_in_threads

logger = logging.getLogger(__name__)

_FILE = "fingerprints.sqlite"
_WAIT_S = 120
_DAY_S = 86_400
_KEPT_DAYS = 90
"""What nobody asked for in so long is forgotten, and read again if it is asked for."""
_NUM_NAMED = 5


class Stamp(NamedTuple):
    """What changes whenever a file does, without a look into it: where it is, and its ``FileStamp``."""

    path: str
    size: int
    modified: int
    changed: int
    inode: int


def content_digests(paths: Sequence[Path], cache_dir: Path) -> list[str]:
    """Return sha256 of each file, reading only those that are new or have changed since another process read them.

    Raises:
        DataError: files are missing; the first few are named.
    """
    stamps = _stamps(paths)
    try:
        known = _digests_of(stamps, cache_dir)
    except sqlite3.OperationalError:  # it is locked, or its disk is full
        raise
    except sqlite3.DatabaseError as error:
        logger.warning("%s: %s: it is made anew, and the files are read once more.", cache_dir / _FILE, error)
        (cache_dir / _FILE).unlink()
        known = _digests_of(stamps, cache_dir)
    return [known[stamp] for stamp in stamps]


def _digests_of(stamps: Sequence[Stamp], cache_dir: Path) -> dict[Stamp, str]:
    """Return the digests that are known, and those of the files that had to be read."""
    with closing(connect(cache_dir)) as connection:
        known, stale = _known(connection, stamps)
        new = [stamp for stamp in dict.fromkeys(stamps) if stamp not in known]
        if new:
            known |= dict(zip(new, map_in_threads(_digest_of, new, stage="reading files"), strict=True))
        if new or stale:
            now = int(time.time())
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(*stamp, known[stamp], now) for stamp in [*new, *stale]],
                )
                connection.execute("DELETE FROM files WHERE used < ?", (now - _KEPT_DAYS * _DAY_S,))
    return known


def forget(cache_dir: Path) -> None:
    """Forget all digests and facts: every file is read again when it is asked for."""
    if (cache_dir / _FILE).exists():
        with closing(connect(cache_dir)) as connection:
            with connection:
                connection.execute("DELETE FROM files")
                connection.execute("DELETE FROM facts")
            connection.execute("VACUUM")


def connect(cache_dir: Path) -> sqlite3.Connection:
    """Return the database of what is known of files and of contents; whoever opens it closes it."""
    connection = sqlite3.connect(cache_dir / _FILE, timeout=_WAIT_S)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS files "
        "(path TEXT PRIMARY KEY, size INT, modified INT, changed INT, inode INT, digest TEXT, used INT)"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS facts (digest TEXT, kind TEXT, fact TEXT, seal TEXT, PRIMARY KEY (digest, kind))"
    )
    connection.execute("DROP TABLE IF EXISTS contents")  # of earlier versions, which knew less of a file
    return connection


def _known(connection: sqlite3.Connection, stamps: Sequence[Stamp]) -> tuple[dict[Stamp, str], list[Stamp]]:
    """Return the digests that are known, and those of them whose use was last noted more than a day ago."""
    with connection:  # and no lock is held while files are read
        connection.execute("CREATE TEMP TABLE wanted (path TEXT PRIMARY KEY)")
        connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((stamp.path,) for stamp in stamps))
        select = "SELECT path, size, modified, changed, inode, digest, used FROM wanted JOIN files USING (path)"
        rows = connection.execute(select).fetchall()
    wanted, noted_after = set(stamps), time.time() - _DAY_S
    known: dict[Stamp, str] = {}
    stale: list[Stamp] = []
    for *of_file, digest, used in rows:
        stamp = Stamp(*of_file)
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
        return Stamp(name, *file_stamp(status))
    folder, file = os.path.split(name)
    if folder not in real_folders:
        real_folders[folder] = os.path.realpath(folder)
    return Stamp(os.path.join(real_folders[folder], file), *file_stamp(status))


def _digest_of(stamp: Stamp) -> str:
    try:
        return hashlib.sha256(Path(stamp.path).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{stamp.path}: cannot be read: {error.strerror}.") from error
