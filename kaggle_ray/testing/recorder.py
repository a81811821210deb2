"""A reporter that keeps what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from kaggle_ray.types import Event


@dataclass
class Recorder:
    """Keeps the events of a run."""

    events: list[Event] = field(default_factory=list)
    num_closed: int = 0

    def emit(self, event: Event) -> None:
        """See Reporter."""
        self.events.append(event)

    def close(self) -> None:
        """See Reporter."""
        self.num_closed += 1

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events, in their order."""
        return [event.kind for event in self.events]

    def one(self, kind: str) -> Event:
        """Return the only event of a kind."""
        (event,) = [event for event in self.events if event.kind == kind]
        return event
