"""What every launcher passes on of a trial that it runs, from the driver's process: to the reporters and the source."""

from __future__ import annotations

import math

from kaggle_ray.errors import TrialError
from kaggle_ray.progress import Progress
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import TrialEnded, TrialProgressed, TrialStarted, event_of
from kaggle_ray.schedule.source import Continue, Stop, TrialSource
from kaggle_ray.store.trials import TrialStore
from kaggle_ray.train.failures import policy_of, reason_of
from kaggle_ray.types import EpochMetrics, Trial, TrialMessage, TrialResult


class TrialRelay:
    """Passes on what one running trial tells; the source may answer that it is to be stopped."""

    def __init__(self, trial: Trial, source: TrialSource, store: TrialStore, emit: Emit) -> None:
        """Tell ``source`` and ``emit`` of ``trial``, whose result is committed to ``store`` where it is stopped."""
        self._trial = trial
        self._source = source
        self._store = store
        self._emit = emit
        self._history: list[EpochMetrics] = []

    def start(self) -> None:
        """Tell that an attempt began; what an earlier one measured is told again where it goes on from there."""
        self._history.clear()
        self._emit(TrialStarted(trial=self._trial))

    def progressed(self, progress: Progress) -> None:
        """Tell that the trial gets on, between two messages of it."""
        self._emit(TrialProgressed(trial=self._trial, progress=progress))

    def tell(self, message: TrialMessage) -> Continue | Stop:
        """Pass on a message, and return what the source decides; the trial takes no step before that."""
        self._emit(event_of(self._trial, message))
        if not isinstance(message, EpochMetrics):
            return Continue()
        self._history.append(message)
        return self._source.report(self._trial, message)

    def prune(self, stop: Stop) -> None:
        """Commit the trial as it is, once nothing of it runs any more, and tell that it ended."""
        pruned = TrialResult(
            trial=self._trial,
            status="pruned",
            attempt_id="",
            history=tuple(self._history),
            duration_s=math.fsum(metrics.duration_s for metrics in self._history),
            reason=stop.reason,
        )
        self.end(self._store.attempt(self._trial).commit(pruned))

    def fail(self, error: TrialError) -> None:
        """Tell what the trial failed of, once nothing of it runs any more; commit what would repeat itself."""
        failed = TrialResult(
            trial=self._trial, status="failed", attempt_id="", history=tuple(self._history), error=reason_of(error)
        )
        repeats_itself = policy_of(error).repeats_itself
        self.end(self._store.attempt(self._trial).commit(failed) if repeats_itself else failed)

    def end(self, result: TrialResult) -> None:
        """Record how the trial ended, and tell it."""
        self._source.record(result)
        self._emit(TrialEnded.of(result))
