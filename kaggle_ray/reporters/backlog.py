"""What a service has been told of a run, and what it still lacks: the run's history behind a cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import Protocol

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.sink import Sink

Numbered = tuple[int, Envelope]
"""An event, and its number in the run's history: 1 for the first."""

MOST_AT_ONCE = 500
"""Events that a sink is handed at a time: what it could not deliver of them comes again."""


class History(Protocol):
    """What a run's drivers have told so far, this one and those before it, as it is written down."""

    def __len__(self) -> int:
        """Return how many events there are."""
        ...

    def since(self, number: int) -> Iterator[Numbered]:
        """Yield the events after the first ``number``; those that cannot be read are left out."""
        ...


class Cursor(Protocol):
    """How many events of a run's history a service has taken; it outlives the process."""

    def load(self) -> int:
        """Return what was saved last, 0 where nothing was."""
        ...

    def save(self, number: int) -> None:
        """Save that the first ``number`` events are delivered."""
        ...


class Backlog:
    """What one sink still lacks of a run's history."""

    def __init__(self, sink: Sink, *, history: History, cursor: Cursor) -> None:
        """Begin after what the cursor says is delivered."""
        self._sink, self._history, self._cursor = sink, history, cursor
        self._has_recalled = False
        self.num_before = len(history)
        """Events that the history had at this point."""
        # A history may have become shorter: a crash lost its last lines, or a new version set it aside.
        self.num_delivered = min(cursor.load(), self.num_before)
        """Events of the history, from its first on, that the sink has taken."""

    def missing(self, until: int) -> Iterator[Sequence[Numbered]]:
        """Yield in batches what the sink lacks of the first ``until`` events."""
        missed = self._between(self.num_delivered, until)
        while batch := list(islice(missed, MOST_AT_ONCE)):
            yield batch

    def deliver(self, batch: Sequence[Numbered]) -> None:
        """Hand a batch to the sink. Raise what the sink, or the cursor's place, raises: it has to be handed again."""
        if not self._has_recalled:
            self._sink.recall([envelope for _, envelope in self._between(0, self.num_delivered)])
            self._has_recalled = True
        self._sink.send([envelope for _, envelope in batch])
        self.skip_to(batch[-1][0])

    def skip_to(self, number: int) -> None:
        """Take the first ``number`` events for delivered."""
        self.num_delivered = number
        self._cursor.save(number)

    def _between(self, number: int, until: int) -> Iterator[Numbered]:
        """Yield the events after the first ``number``, up to and with the one of number ``until``."""
        if number < until:
            yield from takewhile(lambda numbered: numbered[0] <= until, self._history.since(number))


def deliver_backlog(sink: Sink, *, history: History, cursor: Cursor, again: bool = False) -> int:
    """Deliver what a service lacks of a run's history, at once, or all ``again``; return how many events that were.

    Raises:
        Exception: what the sink raised. What was delivered before stays delivered.
    """
    if again:
        cursor.save(0)
    backlog = Backlog(sink, history=history, cursor=cursor)
    num_delivered = 0
    for batch in backlog.missing(backlog.num_before):
        backlog.deliver(batch)
        num_delivered += len(batch)
    return num_delivered
