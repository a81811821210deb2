"""Keeps the number of trials that run at once below a bound, where the place they run at has room for more."""

from __future__ import annotations

from kaggle_ray.schedule.source import Continue, Done, Stop, TrialSource, Wait
from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult


class BoundedSource:
    """Hands out a source's trials while fewer than ``num_slots`` of them run."""

    def __init__(self, source: TrialSource, *, num_slots: int) -> None:
        """Count the trials of ``source`` that are handed out from now on."""
        self._source = source
        self._num_slots = num_slots
        self._running: set[Trial] = set()

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """The source's results."""
        return self._source.results

    def next(self) -> Trial | Wait | Done:
        """Return what the source says, or wait for a trial to end."""
        if len(self._running) >= self._num_slots:
            return Wait()
        step = self._source.next()
        if isinstance(step, Trial):
            self._running.add(step)
        return step

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue | Stop:
        """Return what the source decides."""
        return self._source.report(trial, metrics)

    def record(self, result: TrialResult) -> None:
        """Tell the source how a trial ended; the next may be handed out."""
        self._running.discard(result.trial)
        self._source.record(result)

    def admitted(self) -> tuple[Experiment, ...]:
        """Return what the source admits."""
        return self._source.admitted()


_: type[TrialSource] = BoundedSource
