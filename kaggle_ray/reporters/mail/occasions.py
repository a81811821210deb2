"""When a mail is due: a run has ended, failed, stalled, or was stopped by somebody else than its user."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    EpochEnded,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunKilled,
    RunStalled,
    RunStarted,
    TrialEnded,
)

Outcome = Literal["complete", "failed", "stopped", "killed", "stalled"]


@dataclass(kw_only=True, slots=True)
class Occasions:
    """What has become of a run's drivers so far, so that a person is told of each once."""

    has_driver: bool = False
    """Whether a driver has begun that did not say yet how it ended."""
    has_news: bool = True
    """Whether anything was trained since the run last was complete."""

    _seen: set[tuple[str, float]] = field(default_factory=set)

    def outcome_of(self, envelope: Envelope) -> Outcome | None:
        """Return what a person is to be told now; None for most events, and for one that was taken in before.

        A run that is called again with nothing left to train is no news, and what its user stops by Ctrl-C is none.
        """
        identity = (envelope.event_id, envelope.time)
        if identity in self._seen:
            return None
        event = envelope.event
        match event:
            case TrialEnded() | EpochEnded():
                self.has_news = True
                return None
            case RunStarted() | RunEnded() | RunFailed() | RunInterrupted() | RunKilled() | RunStalled():
                self._seen.add(identity)
            case _:
                return None
        if isinstance(event, RunStalled):
            return "stalled"
        had_driver, self.has_driver = self.has_driver, isinstance(event, RunStarted)
        match event:
            case RunStarted() | RunKilled():
                return "killed" if had_driver else None
            case RunEnded():
                had_news, self.has_news = self.has_news, False
                return "complete" if had_news else None
            case RunFailed():
                return "failed"
            case RunInterrupted(reason="sigterm"):
                return "stopped"
        return None
