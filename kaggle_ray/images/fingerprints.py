"""What is in a file, remembered: a digest of the content for as long as the file system says that it is the same."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from kaggle_ray.cache.folder import FOLDER_VARIABLE, written_cache
from kaggle_ray.cache.seal import file_stamp
from kaggle_ray.counted import counted
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError, StoreError
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
        DataError: files are missing or cannot be read; the first few are named.
        StoreError: the database of digests cannot be used.
    """
    digests, reasons = readable_digests(paths, cache_dir)
    if reasons:
        raise DataError(
            f"{counted(len(reasons), 'image')} cannot be read: {' '.join(list(reasons.values())[:_NUM_NAMED])} "
            "Restore them, or leave them out with --skip-unreadable."
        )
    return [digests[path] for path in paths]


def readable_digests(paths: Sequence[Path], cache_dir: Path) -> tuple[dict[Path, str], dict[Path, str]]:
    """Return the sha256 of each file that can be read, as ``content_digests`` does, and of the others why they cannot.

    Raises:
        StoreError: the database of digests cannot be used.
    """
    stamps, reasons = _stamps(paths)
    try:
        known, unread = _digests_of(list(stamps.values()), cache_dir)
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.OperationalError):
            raise
        logger.warning("%s: %s: it is made anew, and the files are read once more.", cache_dir / _FILE, error.__cause__)
        (cache_dir / _FILE).unlink()
        known, unread = _digests_of(list(stamps.values()), cache_dir)
    reasons |= {path: unread[stamp] for path, stamp in stamps.items() if stamp in unread}
    return {path: known[stamp] for path, stamp in stamps.items() if stamp in known}, reasons


def _digests_of(stamps: Sequence[Stamp], cache_dir: Path) -> tuple[dict[Stamp, str], dict[Stamp, str]]:
    """Return the digests that are known and those of the files that had to be read, and why others cannot be."""
    unread: dict[Stamp, str] = {}
    with known_content(cache_dir) as connection:
        known, stale = _known(connection, stamps)
        new: list[Stamp] = []
        missing = [stamp for stamp in dict.fromkeys(stamps) if stamp not in known]
        found = map_in_threads(_digest_or_reason, missing, stage="reading files") if missing else []
        for stamp, (digest, reason) in zip(missing, found, strict=True):
            if digest is None:
                unread[stamp] = reason
            else:
                known[stamp] = digest
                new.append(stamp)
        if new or stale:
            now = int(time.time())
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(*stamp, known[stamp], now) for stamp in [*new, *stale]],
                )
                connection.execute("DELETE FROM files WHERE used < ?", (now - _KEPT_DAYS * _DAY_S,))
    return known, unread


def forget(cache_dir: Path) -> None:
    """Forget all digests and facts: every file is read again when it is asked for."""
    if (cache_dir / _FILE).exists():
        with known_content(cache_dir) as connection:
            with connection:
                connection.execute("DELETE FROM files")
                connection.execute("DELETE FROM facts")
            connection.execute("VACUUM")


@contextmanager
def known_content(cache_dir: Path) -> Iterator[sqlite3.Connection]:
    """Yield the database of what is known of files and of contents; the folder is made.

    Raises:
        StoreError: it is damaged or locked, its disk is full, or it may not be written.
    """
    with written_cache(cache_dir):
        pass
    try:
        with closing(sqlite3.connect(cache_dir / _FILE, timeout=_WAIT_S)) as connection:
            _make_tables(connection)
            yield connection
    except sqlite3.Error as error:
        raise StoreError(
            f"{cache_dir / _FILE}: cannot be used: {error}. Free some space, or remove it if you can spare it: files "
            f"are then read once more; or name another folder in the environment variable {FOLDER_VARIABLE}."
        ) from error


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS files "
        "(path TEXT PRIMARY KEY, size INT, modified INT, changed INT, inode INT, digest TEXT, used INT)"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS facts (digest TEXT, kind TEXT, fact TEXT, seal TEXT, PRIMARY KEY (digest, kind))"
    )
    connection.execute("DROP TABLE IF EXISTS contents")  # of earlier versions, which knew less of a file


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


def _stamps(paths: Sequence[Path]) -> tuple[dict[Path, Stamp], dict[Path, str]]:
    """Return the stamp of each file, and of those that have none why."""
    stamps: dict[Path, Stamp] = {}
    reasons: dict[Path, str] = {}
    real_folders: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        try:
            stamps[path] = _stamp_of(os.fspath(path), real_folders)
        except OSError as error:
            reasons[path] = f"{path}: cannot be read: {error.strerror}."
    return stamps, reasons


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


def _digest_or_reason(stamp: Stamp) -> tuple[str | None, str]:
    try:
        return hashlib.sha256(read_content(Path(stamp.path))).hexdigest(), ""
    except DataError as error:
        return None, str(error)
