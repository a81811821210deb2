"""Brings a competition's files from shared storage to this machine's disk, once for all its trials."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlparse

from filelock import FileLock

from kaggle_ray.errors import ConfigError, DataError, StoreError
from kaggle_ray.types import JsonValue

_MANIFEST = "manifest.json"
_NUM_THREADS = 16
_NUM_TRIES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """One file of a source."""

    name: str
    """Relative to the source, with slashes."""
    num_bytes: int
    stamp: str
    """Changes whenever the content does."""


class Source(Protocol):
    """Where files are staged from."""

    def list(self) -> list[RemoteFile]:
        """Return all files.

        Raises:
            DataError: there is no such place, or no access to it.
        """
        ...

    def fetch(self, file: RemoteFile, path: Path) -> None:
        """Write the file to ``path``; raise DataError where what arrived is not what the source has."""
        ...


def stage_data(uri: str | Path, *, cache_dir: Path) -> Path:
    """Return a folder of this machine with the files of ``uri``.

    A plain folder is returned as it is. From ``file://`` (a shared disk) and ``s3://bucket/prefix`` files are copied
    once to ``cache_dir``, by one process while the others wait; a copy that was cut short goes on where it was. What
    has changed at the source since is copied again. The manifest is written last: its existence means that the copy is
    whole.

    Raises:
        ConfigError: the scheme is unknown, or boto3 is missing.
        DataError: the source is missing, empty, or its files do not arrive as they are.
        StoreError: the disk has no room.
    """
    scheme = urlparse(str(uri)).scheme if "://" in str(uri) else ""
    if not scheme:
        return Path(uri)
    source = _source(str(uri), scheme)
    folder = cache_dir / "data" / hashlib.sha256(str(uri).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        files = source.list()
        if not files:
            raise DataError(f"{uri}: has no files. Is it the right folder?")
        _check_names(files, str(uri))
        _stage(source, files, folder, str(uri))
    return folder / "files"


def _source(uri: str, scheme: str) -> Source:
    if scheme == "file":
        return SharedFolder(Path(urlparse(uri).path))
    if scheme == "s3":
        from kaggle_ray.data.s3 import Bucket

        return Bucket(uri)
    raise ConfigError(f"{uri}: expected a folder, file:// or s3://, got the scheme {scheme!r}.")


class SharedFolder:
    """A folder on a disk that several machines share."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read before ``list``."""
        self._folder = folder

    def list(self) -> list[RemoteFile]:
        """See Source."""
        if not self._folder.is_dir():
            raise DataError(f"{self._folder}: no such folder.")
        found = sorted(path for path in self._folder.rglob("*") if path.is_file())
        return [
            RemoteFile(
                name=path.relative_to(self._folder).as_posix(),
                num_bytes=(status := path.stat()).st_size,
                stamp=str(status.st_mtime_ns),
            )
            for path in found
        ]

    def fetch(self, file: RemoteFile, path: Path) -> None:
        """See Source."""
        shutil.copyfile(self._folder / file.name, path)
        if _sha256(path) != _sha256(self._folder / file.name):
            raise DataError(f"{self._folder / file.name}: the copy differs.")


def _stage(source: Source, files: Sequence[RemoteFile], folder: Path, uri: str) -> None:
    """Copy what the last manifest and the finished files of an earlier try do not have; remove what is gone."""
    target = folder / "files"
    target.mkdir(exist_ok=True)
    known = _read_notes(folder)
    wanted = {file.name: file for file in files}
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target).as_posix() not in wanted:
            path.unlink()
    missing = [file for file in files if not _is_there(file, target, known.get(file.name))]
    if not missing:
        return
    (folder / _MANIFEST).unlink(missing_ok=True)
    num_bytes, free = sum(file.num_bytes for file in missing), shutil.disk_usage(folder).free
    if num_bytes > free:
        raise StoreError(
            f"{folder}: the files of {uri} need {num_bytes / 2**20:,.0f} MiB more, {free / 2**20:,.0f} MiB are free. "
            f"Free some space, or name another folder in KAGGLE_RAY_CACHE."
        )
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        notes = dict(pool.map(lambda file: (file.name, _copy(source, file, target, folder, uri)), missing))
    manifest = {name: notes.get(name) or known[name] for name in wanted}
    partial = folder / f"{_MANIFEST}.partial"
    partial.write_text(json.dumps(manifest))
    partial.replace(folder / _MANIFEST)
    shutil.rmtree(folder / "notes", ignore_errors=True)


def _copy(source: Source, file: RemoteFile, target: Path, folder: Path, uri: str) -> dict[str, JsonValue]:
    """Copy one file under a temporary name, verify and rename it, and note its digest; a corrupt one is tried again."""
    path = target / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = folder / "partial" / hashlib.sha256(file.name.encode()).hexdigest()
    partial.parent.mkdir(exist_ok=True)
    for attempt in range(1, _NUM_TRIES + 1):
        try:
            source.fetch(file, partial)
            if partial.stat().st_size != file.num_bytes:
                raise DataError(f"{uri}: {file.name}: expected {file.num_bytes} bytes, got {partial.stat().st_size}.")
            break
        except DataError as error:
            if attempt == _NUM_TRIES:
                raise DataError(f"{error} Tried {_NUM_TRIES} times. Run the same command to go on.") from error
    note: dict[str, JsonValue] = {"num_bytes": file.num_bytes, "stamp": file.stamp, "sha256": _sha256(partial)}
    partial.replace(path)
    notes = folder / "notes"
    notes.mkdir(exist_ok=True)
    (notes / partial.name).write_text(json.dumps({"name": file.name, **note}))
    return note


def _read_notes(folder: Path) -> dict[str, dict[str, JsonValue]]:
    """Return what is known of files that were copied: by the last whole copy, and by one that was cut short."""
    known: dict[str, dict[str, JsonValue]] = {}
    if (folder / _MANIFEST).exists():
        known |= json.loads((folder / _MANIFEST).read_text())
    for path in (folder / "notes").glob("*"):
        try:
            note = json.loads(path.read_text())
        except ValueError:  # cut short while it was written: the file is copied again
            continue
        known[note.pop("name")] = note
    return known


def _is_there(file: RemoteFile, target: Path, note: dict[str, JsonValue] | None) -> bool:
    path = target / file.name
    return (
        note is not None
        and (note["num_bytes"], note["stamp"]) == (file.num_bytes, file.stamp)
        and path.is_file()
        and path.stat().st_size == file.num_bytes
    )


def _check_names(files: Sequence[RemoteFile], uri: str) -> None:
    """Raise DataError for a name that would leave the folder: what others put in a bucket is untrusted."""
    for file in files:
        parts = PurePosixPath(file.name).parts
        if not parts or ".." in parts or PurePosixPath(file.name).is_absolute():
            raise DataError(f"{uri}: the name {file.name!r} leads out of the folder. Nothing was copied.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
