"""A reporter that keeps what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import Event

E = TypeVar("E")


@dataclass
class Recorder:
    """Keeps the events of a run, in their envelopes."""

    envelopes: list[Envelope] = field(default_factory=list)
    num_closed: int = 0

    def emit(self, envelope: Envelope) -> None:
        """Keep the event."""
        self.envelopes.append(envelope)

    def close(self) -> None:
        """Count that it is closed."""
        self.num_closed += 1

    @property
    def events(self) -> list[Event]:
        """What happened, in its order."""
        return [envelope.event for envelope in self.envelopes]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events, in their order."""
        return [envelope.kind for envelope in self.envelopes]

    def all(self, event_type: type[E]) -> list[E]:
        """Return the events of a type, in their order."""
        return of_type(self.events, event_type)

    def one(self, event_type: type[E]) -> E:
        """Return the only event of a type."""
        (event,) = self.all(event_type)
        return event


def of_type(events: Sequence[Event], event_type: type[E]) -> list[E]:
    """Return those of ``events`` that are of a type, in their order."""
    return [event for event in events if isinstance(event, event_type)]
