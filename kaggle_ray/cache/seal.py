"""Seals on files that are derived and kept: whoever opens one finds out whether it still is what was sealed.

A seal has a digest of the content, and the stamp that the file system gave it. A file with that stamp is taken for the
same without being read, as every write changes the stamp. Of any other the content decides: what was only touched, or
copied with its seal to another disk, is as good as before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.cpus import num_cpus
from kaggle_ray.errors import JsonShapeError
from kaggle_ray.typed_json import from_json, parse_json

logger = logging.getLogger(__name__)

SEAL_FILE = "seal.json"
"""Name of the seal beside the one file of an entry of the cache."""
FileStamp = tuple[int, int, int, int]
"""Size in bytes, time of the last change of the content and of the file in nanoseconds, and inode.

The first two can be the same of other content: ``cp --preserve``, ``touch -r`` and archives set the time. The third is
the file system's own and cannot be set; the inode tells a file that took another's place.
"""

_BLOCK_BYTES = 2**23
"""What a thread digests at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """What a file was when it was sealed."""

    digest: str
    """sha256 of the sha256 of its blocks, which several threads compute at once."""
    stamp: FileStamp


def file_stamp(status: os.stat_result) -> FileStamp:
    """Return the stamp of a file of this status; inodes are cut to what SQLite and JSON readers take."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino % 2**63


def seal_of(path: Path) -> Seal:
    """Return the seal of a file as it is."""
    stamp = file_stamp(path.stat())  # before it is read: what is written meanwhile has another
    return Seal(digest=_digest_of(path), stamp=stamp)


def unbroken(path: Path, seal: Seal) -> Seal | None:
    """Return the seal, with the stamp that the file has now; None where the file is gone or is another one."""
    try:
        stamp = file_stamp(path.stat())
    except FileNotFoundError:
        return None
    if stamp == seal.stamp:
        return seal
    if stamp[0] != seal.stamp[0] or _digest_of(path) != seal.digest:
        return None
    return replace(seal, stamp=stamp)


def is_as_sealed(path: Path, seal: Seal) -> bool:
    """Return whether a file has the content that was sealed, all of which is read, whatever its stamp says."""
    return _digest_of(path) == seal.digest


def write_seal(file: Path, seal: Seal) -> None:
    """Write a seal to a file of its own, as a whole or not at all."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(json.dumps(asdict(seal)))
    partial.replace(file)


def save_sealed(array: npt.NDArray[Any], entry: Path) -> None:
    """Write ``array`` as the file ``entry``, which is there when it is whole, and its seal beside it."""
    building = entry.with_name(f"building-{entry.name}")
    np.save(building, array)
    building.rename(entry)
    write_seal(entry.with_name(SEAL_FILE), seal_of(entry))


def read_seal(file: Path) -> Seal | None:
    """Return the seal that was written to a file, None where there is none, or none that can be read."""
    try:
        return from_json(Seal, parse_json(file.read_bytes(), where=str(file)), where=str(file))
    except (FileNotFoundError, JsonShapeError):
        return None


def is_intact(entry: Path) -> bool:
    """Return whether a file beside its seal is there and is what was sealed; what is left of another is removed."""
    seal_file = entry.with_name(SEAL_FILE)
    if (seal := read_seal(seal_file)) is not None:
        if (unbroken_seal := unbroken(entry, seal)) is not None:
            if unbroken_seal != seal:
                write_seal(seal_file, unbroken_seal)
            return True
        logger.warning("%s: is not what was sealed, and is made anew.", entry)
    seal_file.unlink(missing_ok=True)
    entry.unlink(missing_ok=True)  # whoever maps it keeps its pages
    return False


def _digest_of(path: Path) -> str:
    """Return the digest of a file, which is read by a thread per core."""
    with path.open("rb") as file:

        def block_digest(start: int) -> bytes:
            return hashlib.sha256(os.pread(file.fileno(), _BLOCK_BYTES, start)).digest()

        starts = range(0, os.fstat(file.fileno()).st_size, _BLOCK_BYTES)
        if len(starts) <= 1:
            digests = list(map(block_digest, starts))
        else:
            with ThreadPoolExecutor(num_cpus()) as pool:
                digests = list(pool.map(block_digest, starts))
    return hashlib.sha256(b"".join(digests)).hexdigest()
