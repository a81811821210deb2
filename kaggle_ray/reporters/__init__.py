"""Reporters tell people and services what happens in a run. They know Event and nothing else of the package."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from kaggle_ray.types import Event

logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Receives every event of a run, in the driver's process.

    Contract (``kaggle_ray.testing.reporter_contract``): any kind of event in any order is taken, one that comes
    twice as well, and ``close`` may be called more than once.
    """

    def emit(self, event: Event) -> None:
        """Take one event; soon back, for the driver waits."""

    def close(self) -> None:
        """Deliver what is held back and let go of files, screens and connections."""


class FanOut:
    """Forwards each event to several reporters, in order.

    Telemetry never kills a run: a reporter that raises costs one logged warning and gets no more events, the others
    go on. It is still closed.
    """

    def __init__(self, reporters: Iterable[Reporter]) -> None:
        """Forward to ``reporters``, which are closed with this one."""
        self._reporters = tuple(reporters)
        self._working = list(self._reporters)

    def emit(self, event: Event) -> None:
        """Forward ``event`` to the reporters that have not failed yet. Raises nothing."""
        for reporter in tuple(self._working):
            try:
                reporter.emit(event)
            except Exception as error:
                self._working.remove(reporter)
                logger.warning(
                    "%s failed at %s and gets no more events: %s: %s",
                    type(reporter).__name__,
                    event.event_id,
                    type(error).__name__,
                    error,
                )

    def close(self) -> None:
        """Close all reporters, the failed ones too. Raises nothing."""
        for reporter in self._reporters:
            try:
                reporter.close()
            except Exception as error:
                logger.warning("%s did not close: %s: %s", type(reporter).__name__, type(error).__name__, error)


_FAN_OUT_IS_A_REPORTER: type[Reporter] = FanOut
