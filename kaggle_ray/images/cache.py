"""Decodes each image once per machine and size: a memory map that all folds, trials and epochs share."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

from kaggle_ray.errors import DataError, StoreError
from kaggle_ray.images.decode import Pixels, decode_image

_FORMAT = 1
_NUM_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedImages:
    """A set of decoded images."""

    pixels: Pixels
    """(N, size, size, 3) uint8 RGB, a read-only memory map."""
    num_decoded: int
    """How many images this call had to decode: N, or 0 where the cache had them."""


def default_cache_dir() -> Path:
    """Return KAGGLE_RAY_CACHE where it is set, else the user's cache folder."""
    named = os.environ.get("KAGGLE_RAY_CACHE")
    return Path(named) if named else user_cache_path("kaggle_ray")


def cached_images(paths: Sequence[Path], size: int, cache_dir: Path) -> CachedImages:
    """Return the pixels of ``paths`` in their order, decoding them where no process of this machine has yet.

    The entry's name is a digest over size and each file's path, length and time of change, so a changed file is decoded
    anew. It is built under a lock, in a temporary file that is renamed when it is whole.

    Raises:
        DataError: files are missing or do not decode; the first few are named.
        StoreError: the cache folder cannot be written.
    """
    entry = cache_dir / f"{_digest(paths, size)}-{size}px.npy"
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(entry.with_suffix(".lock")):
            num_decoded = 0 if entry.exists() else _build(paths, size, entry)
    except OSError as error:
        raise StoreError(
            f"{cache_dir}: the image cache cannot be written: {error.strerror or error}. "
            f"Name another folder in the environment variable KAGGLE_RAY_CACHE."
        ) from error
    return CachedImages(pixels=np.load(entry, mmap_mode="r", allow_pickle=False), num_decoded=num_decoded)


def _digest(paths: Sequence[Path], size: int) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {size}\n".encode())
    missing: list[str] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            missing.append(str(path))
            continue
        digest.update(json.dumps([str(path.resolve()), status.st_size, status.st_mtime_ns]).encode())
    if missing:
        raise DataError(f"{len(missing)} images are missing: {', '.join(missing[:_NUM_NAMED])}.")
    return digest.hexdigest()[:16]


def _build(paths: Sequence[Path], size: int, entry: Path) -> int:
    """Decode ``paths`` with one thread per core into ``entry``; return their number."""
    shape = (len(paths), size, size, 3)
    _require_space(int(np.prod(shape)), entry.parent)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=entry.parent) as folder:
        building = Path(folder) / entry.name
        pixels = np.lib.format.open_memmap(building, mode="w+", dtype=np.uint8, shape=shape)

        def fill(row: int) -> str | None:
            try:
                pixels[row] = decode_image(paths[row], size)
            except DataError as error:
                return str(error)
            return None

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            errors = [error for error in pool.map(fill, range(len(paths))) if error]
        if errors:
            raise DataError(
                f"{len(errors)} of {len(paths)} images cannot be decoded: {' '.join(errors[:_NUM_NAMED])} "
                f"Replace them, or remove them and their rows."
            )
        pixels.flush()
        building.rename(entry)
    return len(paths)


def _require_space(num_bytes: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise StoreError(
            f"{folder}: decoded images need {num_bytes / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB are free. "
            f"Free some space, use a smaller image_size, or name another folder in KAGGLE_RAY_CACHE."
        )
