"""Where trials come from: pure decisions that every launcher asks for the next trial and tells how each one ended."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kaggle_ray.types import FULL_DATA, Experiment, Trial, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing to start before another trial has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Nothing to start any more."""


class TrialSource(Protocol):
    """Decides what runs next. Grids, races and searches are sources, so every launcher can run them."""

    def next(self) -> Trial | Wait | Done:
        """Return the next trial to start; it counts as running until its result is recorded."""
        ...

    def record(self, result: TrialResult) -> None:
        """Take note of how a trial ended."""
        ...

    def admitted(self) -> tuple[Experiment, ...]:
        """Return the experiments that may enter the ensemble once their folds are complete."""
        ...


class ListSource:
    """Every fold of every experiment, one experiment after the other, so that the first are complete early."""

    def __init__(
        self, experiments: Sequence[Experiment], num_folds: int | None, ended: Callable[[Trial], TrialResult | None]
    ) -> None:
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

    @property
    def pending(self) -> tuple[Trial, ...]:
        """The trials that were not handed out yet, in order."""
        return tuple(self._pending)

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results so far, those of earlier sessions first."""
        return tuple(self._results)

    def next(self) -> Trial | Wait | Done:
        """Return the first trial in the list whose needs have ended, and take it off the list."""
        trial = self.peek()
        if isinstance(trial, Trial):
            self._pending.remove(trial)
        return trial

    def peek(self) -> Trial | Wait | Done:
        """Return what ``next`` would."""
        ended = {result.trial for result in self._results}
        for trial in self._pending:
            needs = self._needs[trial.experiment_id]
            if all(Trial(experiment_id=needed, fold=trial.fold) in ended for needed in needs):
                return trial
        return Wait() if self._pending else Done()

    def record(self, result: TrialResult) -> None:
        """Take note of how a trial ended: those that start or learn from it may run now."""
        self._results.append(result)

    def admitted(self) -> tuple[Experiment, ...]:
        """Return all experiments of the list."""
        return self._experiments

    def drop_experiment(self, experiment_id: str) -> None:
        """Do not hand out the remaining trials of an experiment, nor of those that start or learn from it."""
        dropped = {experiment_id}
        for child in self._experiments:  # a parent stands before its children
            if dropped & set(child.needs):
                dropped.add(child.experiment_id)
        self._pending = [trial for trial in self._pending if trial.experiment_id not in dropped]


class DeadlineSource:
    """Hands out a list's trials while their experiment can still be completed before a deadline."""

    def __init__(
        self, trials: ListSource, *, stop_at: float, num_slots: int, now: Callable[[], float] = time.time
    ) -> None:
        """Stop at ``stop_at``, in seconds since the Unix epoch, as ``now`` measures them."""
        self._trials = trials
        self._stop_at = stop_at
        self._num_slots = num_slots
        self._now = now
        self._running: dict[str, int] = defaultdict(int)
        self.dropped: list[str] = []
        """Ids of the experiments that there was no time for."""

    def next(self) -> Trial | Wait | Done:
        """Return the list's next trial; experiments that can no longer be completed in time are dropped."""
        while isinstance(trial := self._trials.peek(), Trial):
            if self._fits(trial.experiment_id):
                self._running[trial.experiment_id] += 1
                return self._trials.next()
            self._trials.drop_experiment(trial.experiment_id)
            self.dropped.append(trial.experiment_id)
        return trial

    def record(self, result: TrialResult) -> None:
        """Take note of how a trial ended, and of how long it took."""
        self._running[result.trial.experiment_id] -= 1
        self._trials.record(result)

    def admitted(self) -> tuple[Experiment, ...]:
        """Return all experiments of the list; those that were dropped lack folds."""
        return self._trials.admitted()

    def _fits(self, experiment_id: str) -> bool:
        """Return whether the experiment's remaining folds can end in time; one of unknown length is given a try."""
        time_left = self._stop_at - self._now()
        if time_left <= 0:
            return False
        num_left = sum(trial.experiment_id == experiment_id for trial in self._trials.pending)
        num_rounds = math.ceil((num_left + self._running[experiment_id]) / self._num_slots)
        return num_rounds * self._seconds_per_trial(experiment_id) <= time_left

    def _seconds_per_trial(self, experiment_id: str) -> float:
        """Return the mean of the experiment's own trials, else the longest of any other's, else 0."""
        finished = [result for result in self._trials.results if result.status == "committed"]
        own = [result.duration_s for result in finished if result.trial.experiment_id == experiment_id]
        if own:
            return sum(own) / len(own)
        return max((result.duration_s for result in finished), default=0.0)


_: tuple[type[TrialSource], ...] = (ListSource, DeadlineSource)
