"""The contract of a launcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kaggle_ray.reporters import events
from kaggle_ray.schedule.source import TrialSource
from kaggle_ray.train.context import TrialContext
from kaggle_ray.types import Event, TrialResult

Emit = Callable[[Event], None]


class Launcher(Protocol):
    """Runs a source's trials somewhere, several at once where it can."""

    def run(self, source: TrialSource, context: TrialContext, emit: Emit) -> None:
        """Run trials until the source is done, recording each result and emitting its events from this process.

        Raises:
            KeyboardInterrupt: the user stopped it; running trials were stopped first.
        """
        ...


def finished(result: TrialResult) -> Event:
    """Return the event that ends a trial."""
    return events.trial_finished(
        result.trial, status=result.status, score=result.score, duration_s=result.duration_s, error=result.error
    )
