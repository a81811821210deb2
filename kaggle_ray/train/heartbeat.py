"""Tells whoever watches over this process that its trial gets on: with each batch that is trained on or predicted.

Only between two batches is it known how long something may take: as long as it did between others, or not much longer.
What comes before, between and after them (files that are staged, a score, an upload) takes what it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class Watcher(Protocol):
    """Whoever has to know that a trial gets on."""

    def beat(self) -> None:
        """Take note that a batch begins; soon back, for the trial waits."""

    def rest(self) -> None:
        """Take note that there is no further batch for now."""


_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Let ``watcher`` know of the batches of this thread within the context."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def with_heartbeats(batches: Iterable[T]) -> Iterator[T]:
    """Yield ``batches``, telling the watcher of each, and when they are over or nobody asks for more."""
    watcher = _watcher.get()
    if watcher is None:
        yield from batches
        return
    try:
        for batch in batches:
            watcher.beat()
            yield batch
    finally:
        watcher.rest()
