"""A shared run as a run, before anything of it is pulled: its files by their content, each held to its digest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from kaggle_ray.errors import StoreError
from kaggle_ray.share.corner import Corner
from kaggle_ray.share.index import SharedRun
from kaggle_ray.store.blobs import Blobs, Content
from kaggle_ray.store.diary import BlobDiary
from kaggle_ray.store.lease import Holder, Lease
from kaggle_ray.store.run import EVENTS_FOLDER, RunStore
from kaggle_ray.untrusted import MAX_WEIGHTS_BYTES


def open_shared(corner: Corner, index: SharedRun) -> RunStore:
    """Return the store of a shared run, which is only to be read."""
    blobs = SharedBlobs(corner, index)
    return RunStore(blobs, _NoLease(blobs), BlobDiary(blobs, EVENTS_FOLDER))


class SharedBlobs:
    """The files that an index names, as a blob store that refuses to be written."""

    def __init__(self, corner: Corner, index: SharedRun) -> None:
        """Read the files of ``index`` from ``corner`` when they are asked for."""
        self._corner = corner
        self._index = index
        self._files = index.files

    @property
    def location(self) -> str:
        """The place, then ``user/competition/run``."""
        return f"{self._corner.blobs.location}/{self._index.competition}/{self._index.run_id}"

    def get(self, key: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the content of ``key``, None where it is absent. Raises StoreError where it is not what was pushed."""
        file = self._files.get(key)
        return None if file is None else self._corner.get(file, max_bytes=max_bytes)

    def get_final(self, key: str, stamp: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the same as ``get``."""
        return self.get(key, max_bytes=max_bytes)

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield the content of ``key``. Raises StoreError where it is absent, or not what was pushed."""
        if key not in self._files:
            raise StoreError(f"{self.location}/{key}: is not shared.")
        return self._corner.chunks(self._files[key])

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below the folder ``prefix``, sorted."""
        folder = f"{prefix}/" if prefix else ""
        below = (key.removeprefix(folder) for key in self.list(folder))
        return sorted({name for name, slash, _ in (key.partition("/") for key in below) if slash})

    def list(self, prefix: str) -> list[str]:
        """Return the keys that begin with ``prefix``, sorted."""
        return sorted(key for key in self._files if key.startswith(prefix))

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return each key that begins with ``prefix``, with the digest of its content."""
        return {key: self._files[key].sha256 for key in self.list(prefix)}

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return each key that begins with ``prefix``, with the bytes of its content."""
        return {key: self._files[key].num_bytes for key in self.list(prefix)}

    def written_at(self, key: str) -> float | None:
        """Return when the run was pushed, None where ``key`` is absent."""
        return self._index.pushed_at if key in self._files else None

    def digest(self, key: str) -> str | None:
        """Return the digest that ``key`` was pushed with, None where it is absent; no content is read for it."""
        return self._files[key].sha256 if key in self._files else None

    def path(self, key: str) -> Path:
        """Return a local file with the content of ``key``, absent where it is; its digest is not looked at."""
        file = self._files.get(key)
        return self._corner.blobs.path(f"blobs/{file.sha256 if file else 'absent'}")

    def holds(self, file: Path) -> bool:
        """Return whether a file of this machine lies in the corner."""
        return self._corner.blobs.holds(file)

    def put_if_absent(self, key: str, data: Content) -> bool:
        """Refuse."""
        self._refuse()

    def put(self, key: str, data: Content) -> None:
        """Refuse."""
        self._refuse()

    def delete(self, prefix: str) -> None:
        """Refuse."""
        self._refuse()

    def delete_file(self, key: str) -> None:
        """Refuse."""
        self._refuse()

    def clear(self, *, keep: Collection[str]) -> None:
        """Refuse."""
        self._refuse()

    def remove_temporary(self) -> None:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise StoreError(f"{self.location}: is a shared run, which is only read. Pull it first: kaggle-ray pull.")


class _NoLease:
    """The lease of a run that nobody drives."""

    def __init__(self, blobs: SharedBlobs) -> None:
        self._blobs = blobs

    @contextmanager
    def held(self) -> Iterator[None]:
        """Refuse."""
        self._blobs.remove_temporary()
        yield

    def holder(self) -> Holder | None:
        """Return that nobody is at work on it."""
        return None


_BLOBS: type[Blobs] = SharedBlobs
_LEASE: type[Lease] = _NoLease
