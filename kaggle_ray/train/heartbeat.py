"""Tells whoever watches over this process that its trial gets on: with each batch that is trained on or predicted.

Batches are counted as progress, too: who waits for the run hears of them, however long an epoch takes.

Only between two batches is it known how long something may take: as long as it did between others, or not much longer.
What comes before, between and after them (files that are staged, a score, an upload) takes what it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from kaggle_ray.progress import Counter, Stage

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


def with_heartbeats(batches: Iterable[T], stage: Stage, *, num_total: int) -> Iterator[T]:
    """Yield ``batches``, telling the watcher of each, and when they are over or nobody asks for more.

    Those that are done with are counted, of ``num_total``, as progress of ``stage``.
    """
    watcher, counter = _watcher.get(), Counter(stage, num_total)
    try:
        for batch in batches:
            if watcher is not None:
                watcher.beat()
            yield batch
            counter.add(1)
    finally:
        if watcher is not None:
            watcher.rest()
