"""Reporters tell people and services what happens in a run. They know its events and nothing else of the package.

A reporter is a class with ``emit(envelope)`` and ``close()``, passed to ``kaggle_ray.run(reporters=[...])``. What
happened is ``envelope.event``, a dataclass of ``kaggle_ray.reporters.events``; match on its type, and take what you
show from its fields. The envelope says of which run it is, when and where it happened, and by which id
(``event_id``) to store it so that a trial that is run again overwrites what it told before::

    class Scores:
        def emit(self, envelope: Envelope) -> None:
            match envelope.event:
                case TrialEnded(status="committed", trial=trial, score=score):
                    print(envelope.run_id, trial, score)

        def close(self) -> None:
            pass

Most reporters ignore most kinds, and kinds are added: end without a ``case _`` that raises. Hold yours to
``check_reporter`` of ``kaggle_ray.testing.reporter_contract`` in a test.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from threading import RLock
from time import time as now
from typing import Protocol

from kaggle_ray.reporters.envelope import Envelope, this_host, this_user
from kaggle_ray.reporters.events import Event

logger = logging.getLogger(__name__)

Emit = Callable[[Event], None]
"""Tells of an event; whoever calls it knows nothing of reporters."""


class Reporter(Protocol):
    """Receives every event of a run, in the driver's process.

    Contract (``kaggle_ray.testing.reporter_contract``): any kind of event in any order is taken, one that comes
    twice as well, and ``close`` may be called more than once.

    >>> from kaggle_ray import Reporter
    >>> class Keeping:
    ...     def __init__(self):
    ...         self.envelopes = []
    ...
    ...     def emit(self, envelope):
    ...         self.envelopes.append(envelope)
    ...
    ...     def close(self):
    ...         pass
    >>> reporter: Reporter = Keeping()
    """

    def emit(self, envelope: Envelope) -> None:
        """Take one event; soon back, for the driver waits."""

    def close(self) -> None:
        """Deliver what is held back and let go of files, screens and connections."""


class FanOut:
    """Puts each event of a run into its envelope, and hands that to several reporters, in order.

    Telemetry never kills a run: a reporter that raises costs one logged warning and gets no more events, the others
    go on. It is still closed.
    """

    def __init__(self, reporters: Iterable[Reporter], *, competition: str = "", run_id: str = "") -> None:
        """Tell ``reporters``, which are closed with this one, of the run ``run_id`` of ``competition``."""
        self._reporters = list(reporters)
        self._working = list(self._reporters)
        self._competition, self._run_id = competition, run_id
        self._lock = RLock()  # a watch over the run tells of it from a thread of its own

    def name_run(self, *, competition: str, run_id: str, first: Sequence[Reporter]) -> None:
        """Tell from now on of a run that has its name, and to its own reporters, too, ``first`` of all."""
        with self._lock:
            self._competition, self._run_id = competition, run_id
            self._reporters[:0] = first
            self._working[:0] = first

    def emit(self, event: Event) -> None:
        """Tell the reporters that have not failed yet that ``event`` happened now; from any thread. Raises nothing."""
        with self._lock:
            self._emit(event)

    def _emit(self, event: Event) -> None:
        envelope = Envelope(
            event=event,
            competition=self._competition,
            run_id=self._run_id,
            host=this_host(),
            user=this_user(),
            time=now(),
        )
        for reporter in tuple(self._working):
            try:
                reporter.emit(envelope)
            except Exception as error:
                self._working.remove(reporter)
                logger.warning(
                    "%s failed at %s and gets no more events: %s: %s",
                    type(reporter).__name__,
                    envelope.event_id,
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
