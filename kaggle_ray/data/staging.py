"""Brings a competition's files from shared storage to this machine's disk, once for all its trials."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from kaggle_ray.cache.budget import reserve
from kaggle_ray.cache.entries import Description, EntryUse
from kaggle_ray.cache.seal import Seal, seal_of, unbroken
from kaggle_ray.counted import counted
from kaggle_ray.data.staging_source import RemoteFile, Source
from kaggle_ray.errors import ConfigError, DataError, JsonShapeError, StoreError
from kaggle_ray.progress import each_counted
from kaggle_ray.typed_json import from_json, parse_json
from kaggle_ray.uri import path_of_uri

T = TypeVar("T")

logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"
_FILES = "files"
_NUM_THREADS = 16
_NUM_TRIES = 3
_NUM_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedData:
    """A competition's files on this machine."""

    folder: Path
    held: EntryUse | None = None
    """Keeps a copy from being evicted for as long as this is kept; None of a plain folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    """What is known of a file that was copied."""

    num_bytes: int
    stamp: str
    """Stamp of the file at the source; see ``RemoteFile``."""
    seal: Seal
    """Seal of the copy."""

    def is_of(self, file: RemoteFile) -> bool:
        """Return whether the source still has the file that was copied."""
        return (self.num_bytes, self.stamp) == (file.num_bytes, file.stamp)


def stage_data(uri: str | Path, *, cache_dir: Path, budget_bytes: int | None = None) -> StagedData:
    """Return a folder of this machine with the files of ``uri``.

    A plain folder is returned as it is. From ``file://`` (a shared disk) and ``s3://bucket/prefix`` files are copied
    once to ``cache_dir``, by one process while the others wait; a copy that was cut short goes on where it was. What
    has changed since, at the source or here, is copied again. The manifest is written last: its existence means that
    the copy is whole. A copy is an entry of the cache: before it begins, what is unused makes room for it; and it is
    not evicted while a process keeps what is returned.

    Args:
        uri: a folder, or where to copy from.
        cache_dir: where copies are.
        budget_bytes: that the whole cache may take; see ``cache.budget.budget_of``.

    Raises:
        ConfigError: the scheme is unknown, or boto3 is missing.
        DataError: the source is missing, empty, or its files do not arrive as they are.
        NoRoomError: the copy does not fit into the cache's budget or on the disk.
        StoreError: the cache folder cannot be written.
    """
    scheme, is_uri, _ = str(uri).partition("://")
    if not is_uri:
        return StagedData(folder=Path(uri))
    source = _source(str(uri), scheme)
    key = hashlib.sha256(str(uri).encode()).hexdigest()[:16]
    try:
        held = EntryUse(cache_dir, "data", key)
        with held.filling():
            files = source.list()
            if not files:
                raise DataError(f"{uri}: has no files. Is it the right folder?")
            _check_names(files, str(uri))
            _stage(source, files, held, str(uri), budget_bytes)
            held.touch()
    except OSError as error:
        raise StoreError(
            f"{uri}: cannot be staged to {cache_dir}: {error}. Free some space, or repair what it names, and "
            f"run the same command to go on; or name another folder in the environment variable KAGGLE_RAY_CACHE."
        ) from error
    return StagedData(folder=held.folder / _FILES, held=held)


def _source(uri: str, scheme: str) -> Source:
    if scheme == "file":
        return SharedFolder(path_of_uri(uri))
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
        """Return all files of the folder. Raises DataError where there is no such folder."""
        if not self._folder.is_dir():
            raise DataError(f"{self._folder}: no such folder.")
        found = sorted(path for path in self._folder.rglob("*") if path.is_file())
        return [
            RemoteFile(
                name=path.relative_to(self._folder).as_posix(),
                num_bytes=(status := path.stat()).st_size,
                stamp=f"{status.st_mtime_ns} {status.st_ctime_ns}",  # cp --preserve and archives set the first
            )
            for path in found
        ]

    def fetch(self, file: RemoteFile, path: Path) -> None:
        """Copy a file to ``path``. Raises DataError where the copy differs."""
        shutil.copyfile(self._folder / file.name, path)
        if _sha256(path) != _sha256(self._folder / file.name):
            raise DataError(f"{self._folder / file.name}: the copy differs.")


def _stage(source: Source, files: Sequence[RemoteFile], held: EntryUse, uri: str, budget_bytes: int | None) -> None:
    """Copy what the last manifest and the finished files of an earlier try do not have; remove what is gone."""
    folder, target = held.folder, held.folder / _FILES
    known = _read_notes(folder)
    wanted = {file.name: file for file in files}
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target).as_posix() not in wanted:
            path.unlink()
    kept = {file.name: note for file in files if (note := _unbroken(file, target, known.get(file.name)))}
    missing = [file for file in files if file.name not in kept]
    if spoilt := [file.name for file in missing if file.name in known and known[file.name].is_of(file)]:
        names = ", ".join(spoilt[:_NUM_NAMED])
        were = counted(len(spoilt), "file here is", "files here are")
        logger.warning("%s: %s not what was copied, copied again: %s", uri, were, names)
    description = Description(
        source=uri,
        content="files",
        num_files=len(files),
        num_bytes=sum(file.num_bytes for file in files),
        last_file=_MANIFEST,
    )
    if missing or held.description() != description:
        num_new = sum(file.num_bytes for file in missing)
        reserve(held, description, num_new_bytes=num_new, budget_bytes=budget_bytes)
    if not missing and kept == known and (folder / _MANIFEST).exists():
        return
    (folder / _MANIFEST).unlink(missing_ok=True)
    target.mkdir(exist_ok=True)
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        copied = pool.map(lambda file: (file.name, _copy(source, file, target, folder, uri)), missing)
        notes = dict(each_counted("staging files", copied, num_total=len(missing)))
    manifest = {name: asdict(notes.get(name) or kept[name]) for name in wanted}
    partial = folder / f"{_MANIFEST}.partial"
    partial.write_text(json.dumps(manifest))
    partial.replace(folder / _MANIFEST)
    shutil.rmtree(folder / "notes", ignore_errors=True)


def _copy(source: Source, file: RemoteFile, target: Path, folder: Path, uri: str) -> _Note:
    """Copy one file under a temporary name, verify and rename it, and note its digest; a corrupt one is tried again."""
    path = target / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = folder / "partial" / hashlib.sha256(file.name.encode()).hexdigest()
    partial.parent.mkdir(exist_ok=True)
    for attempt in range(1, _NUM_TRIES + 1):
        try:
            source.fetch(file, partial)
            if partial.stat().st_size != file.num_bytes:
                raise DataError(
                    f"{uri}: {file.name}: expected {counted(file.num_bytes, 'byte')}, got {partial.stat().st_size}."
                )
            break
        except DataError as error:
            if attempt == _NUM_TRIES:
                raise DataError(f"{error} Tried {_NUM_TRIES} times. Run the same command to go on.") from error
    partial.replace(path)
    note = _Note(num_bytes=file.num_bytes, stamp=file.stamp, seal=seal_of(path))
    notes = folder / "notes"
    notes.mkdir(exist_ok=True)
    (notes / partial.name).write_text(json.dumps({file.name: asdict(note)}))
    return note


def _read_notes(folder: Path) -> dict[str, _Note]:
    """Return what is known of files that were copied: by the last whole copy, and by one that was cut short.

    What cannot be read is not known: it was cut short while it was written, was damaged, or is another version's.
    """
    known: dict[str, _Note] = {}
    with suppress(FileNotFoundError, JsonShapeError):
        known |= _read(dict[str, _Note], folder / _MANIFEST)
    for path in (folder / "notes").glob("*"):
        with suppress(JsonShapeError):
            known |= _read(dict[str, _Note], path)
    return known


def _read(kind: type[T], path: Path) -> T:
    return from_json(kind, parse_json(path.read_bytes(), where=str(path)), where=str(path))


def _unbroken(file: RemoteFile, target: Path, note: _Note | None) -> _Note | None:
    """Return what is known of a copy that is as it was, None of one that has to be made anew."""
    if note is None or not note.is_of(file):
        return None
    seal = unbroken(target / file.name, note.seal)
    return None if seal is None else replace(note, seal=seal)


def _check_names(files: Sequence[RemoteFile], uri: str) -> None:
    """Raise DataError for a name that would leave the folder: what others put in a bucket is untrusted."""
    for file in files:
        parts = PurePosixPath(file.name).parts
        if not parts or ".." in parts or PurePosixPath(file.name).is_absolute():
            raise DataError(f"{uri}: the name {file.name!r} leads out of the folder. Nothing was copied.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
