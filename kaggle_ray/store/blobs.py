"""The contract of a blob store: whole files under slash-separated keys, none of which leads out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from kaggle_ray.untrusted import MAX_WEIGHTS_BYTES

Content = bytes | Iterable[bytes]
"""A file's bytes, or the chunks that make it: read once, one at a time. What their maker raises is passed on."""


class Blobs(Protocol):
    """Where a run lives. A write is there in full or not at all, whatever is killed, or raises, when."""

    @property
    def location(self) -> str:
        """The folder or URI that keys are below, for people and for whoever opens the same place."""
        ...

    def put_if_absent(self, key: str, data: Content) -> bool:
        """Create ``key``; return False, and change nothing, where it exists. Its creation is a commit."""
        ...

    def put(self, key: str, data: Content) -> None:
        """Create or replace ``key``: for what can be derived again from what was committed."""
        ...

    def get(self, key: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the content of ``key``, None where it is absent. Raise StoreError where it is too large."""
        ...

    def get_final(self, key: str, stamp: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the content of ``key``, as ``get`` does, that nobody changes while it has ``stamp`` of ``stamps``.

        Where reading takes a request, what was read is kept on this machine.
        """
        ...

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield the content of ``key``, a few MiB at a time. Raise StoreError where it is absent."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below the folder ``prefix``, sorted; none where it is absent."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Return the keys that begin with ``prefix``, sorted."""
        ...

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return each key that begins with ``prefix``, with what changes whenever its content does."""
        ...

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return each key that begins with ``prefix``, with the bytes of its content."""
        ...

    def written_at(self, key: str) -> float | None:
        """Return when ``key`` was written, in seconds since the Unix epoch; None where it is absent."""
        ...

    def digest(self, key: str) -> str | None:
        """Return the sha256 of the content of ``key``, None where it is absent."""
        ...

    def delete(self, prefix: str) -> None:
        """Remove every key below the folder ``prefix``; none is no error."""
        ...

    def delete_file(self, key: str) -> None:
        """Remove one key; that it is absent is no error."""
        ...

    def clear(self, *, keep: Collection[str]) -> None:
        """Remove all there is, but for the keys in ``keep``."""
        ...

    def remove_temporary(self) -> None:
        """Remove what killed writers left; whoever still writes may fail. For the one driver of a run, at its start."""
        ...

    def path(self, key: str) -> Path:
        """Return a local file with the content of ``key``, to be memory-mapped and not written; absent where it is."""
        ...

    def holds(self, file: Path) -> bool:
        """Return whether a file of this machine lies in the store, where whoever shares it may have put it."""
        ...
