"""How far long work has come: the rooms that do it count, and whoever listens is told.

The listener belongs to the context, as a logger's handlers do, so that what decodes, copies or compares files need not
hand it through every call between. Where nobody listens, counting costs next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")

Stage = Literal[
    "staging files",
    "reading files",
    "checking images",
    "decoding images",
    "comparing images",
    "computing features",
    "waiting for another process",
    "training",
    "training teachers",
    "predicting",
    "combining predictions",
]
"""What is being done, in a person's words."""


TRIAL_EVERY_S = 10.0
"""Seconds from one word of a trial's progress to the next: each is a line of the run's diary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How many of how many are done."""

    stage: Stage
    num_done: int
    num_total: int
    """0 where it is not known."""


Listener = Callable[[Progress], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def progress_told_to(listener: Listener) -> Iterator[None]:
    """Call ``listener`` in this thread with what is counted within the context, as often as it is counted."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def throttled(
    listener: Listener,
    *,
    every_s: float = 1.0,
    at_least_every_s: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
) -> Listener:
    """Return a listener that passes on one word of progress in ``every_s`` seconds, and the last one of a stage.

    A stage that takes no longer than that says nothing, but where many of them, one after the other, have said nothing
    for ``at_least_every_s`` seconds.
    """
    stage_at, told_at, stage_told = clock(), clock(), False

    def listen(progress: Progress) -> None:
        nonlocal stage_at, told_at, stage_told
        now = clock()
        if progress.num_done == 0:
            stage_at, stage_told = now, False
        is_last_word = stage_told and progress.num_done == progress.num_total
        is_due = now - max(stage_at, told_at) >= every_s or now - told_at >= at_least_every_s
        if is_last_word or is_due:
            told_at, stage_told = now, True
            listener(progress)

    return listen


class Counter:
    """Counts the items of a stage."""

    def __init__(self, stage: Stage, num_total: int) -> None:
        """Tell that the stage begins."""
        self._stage: Stage = stage
        self._num_total, self._num_done = num_total, 0
        self._listener = _listener.get()
        self.add(0)

    def add(self, number: int) -> None:
        """Tell that ``number`` more are done."""
        self._num_done += number
        if self._listener is not None:
            self._listener(Progress(stage=self._stage, num_done=self._num_done, num_total=self._num_total))

    def end(self) -> None:
        """Tell that what was done is all there was to do, where that was not known before."""
        self._num_total = self._num_done
        self.add(0)


def each_counted(stage: Stage, items: Iterable[T], *, num_total: int) -> Iterator[T]:
    """Yield ``items``, counting each."""
    counter = Counter(stage, num_total)
    for item in items:
        counter.add(1)
        yield item
