"""A blob store in a folder of a local or shared POSIX file system."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from kaggle_ray.cache.seal import file_stamp
from kaggle_ray.errors import StoreError
from kaggle_ray.store.blobs import Blobs, Content
from kaggle_ray.untrusted import (
    MAX_WEIGHTS_BYTES,
    file_chunks,
    file_digest,
    is_file_key,
    named_if_unreadable,
    read_regular,
)

_TEMPORARY = ".tmp"
"""Folder below the root: of the same file system, and easily emptied of what killed writers left."""

_NEXT_STEP = {
    errno.ENOSPC: "the disk is full. Free some space and run the same command again; nothing committed is lost",
    errno.EDQUOT: "the disk quota is used up. Free some space and run the same command again",
    errno.EROFS: "the file system is read-only. Name another folder with --runs",
    errno.EACCES: "permission denied. Name another folder with --runs",
    errno.EPERM: "not permitted. Name another folder with --runs",
    errno.ENOTDIR: "a file is where a folder should be. Name another folder with --runs",
}


class LocalBlobs:
    """Files under ``root``: a temporary file, fsync, then ``os.link`` (a commit) or ``os.replace``.

    The folder may be a copy of anybody's. So no key leads out of it, nothing is written or removed through a symbolic
    link, and only regular files are read.
    """

    def __init__(self, root: Path) -> None:
        """Keys are paths below ``root``, which is made when first written to."""
        self.root = root

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.root)

    def put_if_absent(self, key: str, data: Content) -> bool:
        """Create ``key``; return False, and change nothing, where it exists.

        Raises:
            StoreError: the file system refuses.
        """
        target = self._own(key)
        with self._temporary(target, data) as temporary, _readable_errors(target):
            try:
                os.link(temporary, target)
            except FileExistsError:
                # On NFS a link may have been made though its answer was lost: repeated, it meets itself.
                if not os.path.samestat(temporary.stat(), target.lstat()):
                    return False
            _sync_folder(target.parent)
        return True

    def put(self, key: str, data: Content) -> None:
        """Create or replace ``key``. Raises StoreError where the file system refuses."""
        target = self._own(key)
        with self._temporary(target, data) as temporary, _readable_errors(target):
            os.replace(temporary, target)
            _sync_folder(target.parent)

    def get(self, key: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the content of ``key``, None where it is absent.

        Raises:
            StoreError: it is no regular file, or larger than ``max_bytes``.
        """
        path = self.path(key)
        with named_if_unreadable(path):
            try:
                return read_regular(path, max_bytes=max_bytes)
            except (FileNotFoundError, NotADirectoryError):
                return None  # where a file stands in a folder's place, what writes there says so, and what to do

    def get_final(self, key: str, stamp: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the same as ``get``."""
        return self.get(key, max_bytes=max_bytes)

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield the content of ``key``, a few MiB at a time. Raises StoreError where it is absent."""
        path = self.path(key)
        with _readable_errors(path):
            yield from file_chunks(path)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below the folder ``prefix``, sorted; hidden ones are none."""
        folder = self.path(prefix) if prefix else self.root
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))

    def list(self, prefix: str) -> list[str]:
        """Return the keys that begin with ``prefix``, sorted."""
        folder = self.root / prefix.rpartition("/")[0]
        keys = (path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file())
        return sorted(key for key in keys if key.startswith(prefix) and not key.startswith(f"{_TEMPORARY}/"))

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return each key that begins with ``prefix``, with the stamp that the file system gives its file."""
        return {key: str(file_stamp(self.path(key).stat())) for key in self.list(prefix)}

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return each key that begins with ``prefix``, with the bytes of its content."""
        sizes: dict[str, int] = {}
        for key in self.list(prefix):
            with suppress(FileNotFoundError):  # whoever is at work on it has removed it meanwhile
                sizes[key] = self.path(key).stat().st_size
        return sizes

    def written_at(self, key: str) -> float | None:
        """Return when ``key`` was written, in seconds since the Unix epoch; None where it is absent."""
        try:
            return self.path(key).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    def digest(self, key: str) -> str | None:
        """Return the sha256 of the content of ``key``, None where it is absent."""
        with named_if_unreadable(path := self.path(key)):
            return file_digest(path)

    def delete(self, prefix: str) -> None:
        """Remove every key below the folder ``prefix``.

        What the file system refuses to remove stays: it is garbage, and no reason to stop a run.
        """
        shutil.rmtree(self._own(prefix.removesuffix("/")), ignore_errors=True)

    def delete_file(self, key: str) -> None:
        """Remove one key; what the file system refuses to remove stays."""
        with suppress(OSError):
            self._own(key).unlink()

    def clear(self, *, keep: Collection[str]) -> None:
        """Remove all of the folder, but for the files in ``keep``; of a link itself, not what it leads to."""
        for path in self.root.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in keep:
                path.unlink()

    def remove_temporary(self) -> None:
        """Remove what killed writers left behind."""
        shutil.rmtree(self.root / _TEMPORARY, ignore_errors=True)

    def path(self, key: str) -> Path:
        """Return the file of ``key``, which is absent where the key is.

        Raises:
            StoreError: the key leads out of the folder.
        """
        if not is_file_key(key):
            raise StoreError(f"{self.root}: {key!r} is no name of a file below it.")
        return self.root / key

    def holds(self, file: Path) -> bool:
        """Return whether ``file`` lies in the folder, links followed."""
        return file.resolve().is_relative_to(self.root.resolve())

    def _own(self, key: str) -> Path:
        """Return the path of a key that is to be written or removed. Raises StoreError where a link leads there."""
        path = self.path(key)
        folders = [folder for folder in path.parents if folder.is_relative_to(self.root) and folder != self.root]
        for folder in (*folders, self.root / _TEMPORARY):
            if folder.is_symlink():
                raise StoreError(f"{folder}: is a symbolic link. Remove it: nothing is written through one.")
        return path

    @contextmanager
    def _temporary(self, target: Path, data: Content) -> Iterator[Path]:
        """Make the target's folder and yield a synced file with ``data``; remove its name afterwards."""
        temporary = self.root / _TEMPORARY / uuid.uuid4().hex
        with _readable_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.parent.mkdir(exist_ok=True)
            file = temporary.open("xb", buffering=0)
        try:
            with file:
                for chunk in (data,) if isinstance(data, bytes) else data:
                    with _readable_errors(target):  # what the chunks' maker raises is its own
                        _write_all(file, chunk)
                with _readable_errors(target):
                    os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


_: type[Blobs] = LocalBlobs


def _write_all(file: FileIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(file.fileno(), left) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _NEXT_STEP.get(error.errno or 0, str(error))
        raise StoreError(f"{path}: {reason}.") from error
