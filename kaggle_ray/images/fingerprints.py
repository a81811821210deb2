"""What is in a file, remembered: a digest of the content by path, length and time of change."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from kaggle_ray.errors import DataError

_FILE = "fingerprints.sqlite"
_WAIT_S = 120
_NUM_NAMED = 5

Stamp = tuple[str, int, int]
"""Path, bytes, and nanoseconds of the last change."""


def content_digests(paths: Sequence[Path], cache_dir: Path) -> list[str]:
    """Return sha256 of each file, reading only those that are new or have changed since another process read them.

    Raises:
        DataError: files are missing; the first few are named.
    """
    stamps = _stamps(paths)
    with closing(sqlite3.connect(cache_dir / _FILE, timeout=_WAIT_S)) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS fingerprints (path TEXT PRIMARY KEY, size INT, changed INT, digest TEXT)"
        )
        known = _known(connection, stamps)
        new = [stamp for stamp in dict.fromkeys(stamps) if stamp not in known]
        if new:
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                known |= dict(zip(new, pool.map(_digest_of, new), strict=True))
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?, ?)",
                    [(*stamp, known[stamp]) for stamp in new],
                )
    return [known[stamp] for stamp in stamps]


def _known(connection: sqlite3.Connection, stamps: Sequence[Stamp]) -> dict[Stamp, str]:
    wanted = set(stamps)
    rows = connection.execute("SELECT path, size, changed, digest FROM fingerprints")
    return {stamp: digest for *stamp_parts, digest in rows if (stamp := tuple(stamp_parts)) in wanted}


def _stamps(paths: Sequence[Path]) -> list[Stamp]:
    stamps: list[Stamp] = []
    missing: list[str] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            missing.append(str(path))
        else:
            stamps.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
    if missing:
        raise DataError(f"{len(missing)} images are missing: {', '.join(missing[:_NUM_NAMED])}.")
    return stamps


def _digest_of(stamp: Stamp) -> str:
    try:
        return hashlib.sha256(Path(stamp[0]).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{stamp[0]}: cannot be read: {error.strerror}.") from error
