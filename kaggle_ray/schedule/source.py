"""Where trials come from: pure decisions that every launcher asks for the next trial and tells how each one ended."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kaggle_ray.types import FULL_DATA, EpochMetrics, Experiment, Trial, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing to start before another trial has ended.

    >>> from kaggle_ray import Wait
    >>> Wait()
    Wait()
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Nothing to start any more.

    >>> from kaggle_ray import Done, ListSource
    >>> ListSource([], 5, lambda trial: None).next()
    Done()
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Continue:
    """The trial goes on.

    >>> from kaggle_ray import Continue
    >>> Continue()
    Continue()
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """The trial is stopped for good, and its result is ``pruned``.

    >>> from kaggle_ray import Stop
    >>> Stop(reason="after 2 of 10 epochs it is worse than all others were on fold 0").reason
    'after 2 of 10 epochs it is worse than all others were on fold 0'
    """

    reason: str
    """Why, in one line, for people."""


class TrialSource(Protocol):
    """Decides what runs next. Grids, races and searches are sources, so every launcher can run them.

    A source is made anew whenever a run is begun or resumed (see ``MakeSource``); its decisions follow from the results
    alone, so that a resumed run decides as one that was never stopped.

    >>> from kaggle_ray import ListSource, TrialSource
    >>> source: TrialSource = ListSource([], 5, lambda trial: None)
    >>> source.results
    ()
    """

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results so far: those that the run had when it was resumed, then those that were recorded."""
        ...

    def next(self) -> Trial | Wait | Done:
        """Return the next trial to start; it counts as running until its result is recorded.

        No trial is handed out that has a result, be it of an earlier session.
        """
        ...

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue | Stop:
        """Decide by what an epoch measured whether a running trial goes on.

        A launcher asks after each epoch, and before the trial takes another step. A trial that goes on from a
        checkpoint tells its earlier epochs once more.
        """
        ...

    def record(self, result: TrialResult) -> None:
        """Take note of how a trial ended; one that there is no time for is ``stopped`` without having been started."""
        ...

    def admitted(self) -> tuple[Experiment, ...]:
        """Return the experiments that may enter the ensemble once their folds are complete."""
        ...


Ended = Callable[[Trial], TrialResult | None]
"""Returns the result of a trial that is over: committed, pruned or failed for good; None of one still to be run."""

MakeSource = Callable[[Sequence[Experiment], int, Ended], TrialSource]
"""Makes a run's source of its experiments, the number of its folds and what it has done already."""


class ListSource:
    """Every fold of every experiment, one experiment after the other, so that the first are complete early.

    >>> from kaggle_ray import ListSource
    >>> class LastFirst(ListSource):
    ...     def __init__(self, experiments, num_folds, ended):
    ...         super().__init__(experiments[::-1], num_folds, ended)
    >>> LastFirst([], 5, lambda trial: None).next()
    Done()
    """

    def __init__(self, experiments: Sequence[Experiment], num_folds: int | None, ended: Ended) -> None:
        """Leave out the trials that ``ended`` knows a result of: a rerun is a resume.

        Where ``num_folds`` is None each experiment has one trial, of all rows. A trial that starts from another's
        weights, or learns from it, waits until that one has ended.
        """
        self._experiments = tuple(experiments)
        self._needs = {experiment.experiment_id: experiment.needs for experiment in experiments}
        self._results: list[TrialResult] = []
        self._pending: list[Trial] = []
        for experiment in experiments:
            for fold in (FULL_DATA,) if num_folds is None else range(num_folds):
                trial = Trial(experiment_id=experiment.experiment_id, fold=fold)
                result = ended(trial)
                if result is None:
                    self._pending.append(trial)
                else:
                    self._results.append(result)
        self._ended = {result.trial for result in self._results}

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results so far, those of earlier sessions first."""
        return tuple(self._results)

    def next(self) -> Trial | Wait | Done:
        """Return the first trial in the list whose needs have ended, and take it off the list."""
        for position, trial in enumerate(self._pending):
            needs = self._needs[trial.experiment_id]
            if all(Trial(experiment_id=needed, fold=trial.fold) in self._ended for needed in needs):
                del self._pending[position]
                return trial
        return Wait() if self._pending else Done()

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue | Stop:
        """Let every trial train to its end."""
        return Continue()

    def record(self, result: TrialResult) -> None:
        """Take note of how a trial ended: those that start or learn from it may run now."""
        self._results.append(result)
        self._ended.add(result.trial)

    def admitted(self) -> tuple[Experiment, ...]:
        """Return all experiments of the list."""
        return self._experiments


class DeadlineSource:
    """Hands out a source's trials while their experiment can still be completed before a deadline.

    The others it records as stopped, and those of experiments that start or learn from such a one.
    """

    def __init__(
        self,
        source: TrialSource,
        experiments: Sequence[Experiment],
        num_folds: int,
        *,
        stop_at: float,
        num_slots: int,
        now: Callable[[], float],
    ) -> None:
        """Stop at ``stop_at``, in seconds, as ``now`` measures them.

        What is not among ``experiments``, as it is proposed later, starts from no other.
        """
        self._source = source
        self._needs = {experiment.experiment_id: experiment.needs for experiment in experiments}
        self._num_folds = num_folds
        self._stop_at = stop_at
        self._num_slots = num_slots
        self._now = now
        self._dropped: dict[str, None] = {}
        self._num_noted = 0
        self._num_ended: Counter[str] = Counter()
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._longest = 0.0

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """The source's results; those of trials that there was no time for are ``stopped``."""
        return self._source.results

    @property
    def dropped(self) -> list[str]:
        """Ids of the experiments that there was no time for, in the order in which that was seen."""
        return list(self._dropped)

    def next(self) -> Trial | Wait | Done:
        """Return the source's next trial that can end in time."""
        while isinstance(trial := self._source.next(), Trial):
            if self._fits(trial.experiment_id):
                return trial
            self._dropped.setdefault(trial.experiment_id)
            self._source.record(TrialResult(trial=trial, status="stopped", attempt_id=""))
        return trial

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue | Stop:
        """Return what the source decides: the clock stops a trial where it runs."""
        return self._source.report(trial, metrics)

    def record(self, result: TrialResult) -> None:
        """Tell the source how a trial ended."""
        self._source.record(result)

    def admitted(self) -> tuple[Experiment, ...]:
        """Return what the source admits; the experiments that were dropped lack folds."""
        return self._source.admitted()

    def _fits(self, experiment_id: str) -> bool:
        """Return whether the experiment's remaining folds can end in time; one of unknown length is given a try."""
        time_left = self._stop_at - self._now()
        if time_left <= 0 or {experiment_id, *self._needs.get(experiment_id, ())} & self._dropped.keys():
            return False
        self._take_note()
        num_rounds = math.ceil((self._num_folds - self._num_ended[experiment_id]) / self._num_slots)
        return num_rounds * self._seconds_per_trial(experiment_id) <= time_left

    def _take_note(self) -> None:
        """Sum up what was recorded since the last time: to go through all results for each trial takes the square."""
        for result in self.results[self._num_noted :]:
            self._num_noted += 1
            self._num_ended[result.trial.experiment_id] += 1
            if result.status == "committed":
                self._seconds[result.trial.experiment_id].append(result.duration_s)
                self._longest = max(self._longest, result.duration_s)

    def _seconds_per_trial(self, experiment_id: str) -> float:
        """Return the mean of the experiment's own trials, else the longest of any other's, else 0."""
        own = self._seconds.get(experiment_id)
        return sum(own) / len(own) if own else self._longest


_: tuple[type[TrialSource], ...] = (ListSource, DeadlineSource)
