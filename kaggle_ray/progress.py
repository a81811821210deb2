"""How far long work has come: the rooms that do it count, and whoever listens is told.

The listener belongs to the context, as a logger's handlers do, so that what decodes, copies or compares files need not
hand it through every call between. Where nobody listens, as in a trial's process, counting costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")

Stage = Literal["staging files", "reading files", "checking images", "decoding images", "comparing images"]
"""What is being done, in a person's words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How many of how many are done."""

    stage: Stage
    num_done: int
    num_total: int


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


def counted(stage: Stage, items: Iterable[T], *, num_total: int) -> Iterator[T]:
    """Yield ``items``, counting each."""
    counter = Counter(stage, num_total)
    for item in items:
        counter.add(1)
        yield item
