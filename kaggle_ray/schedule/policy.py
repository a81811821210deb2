"""Which folds a round runs, and which experiments are stopped: the decisions of a run in rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol

from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult

History = Sequence[EpochMetrics]
"""What the epochs of a trial measured, from the first on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """An experiment that is not stopped, as far as the rounds before have brought it."""

    experiment: Experiment
    results: Mapping[int, TrialResult] = field(default_factory=dict)
    """Fold -> the committed result."""

    @property
    def mean_score(self) -> float:
        """Mean of the folds' scores; NaN where none has an honest one."""
        scores = [result.score for result in self.results.values() if result.score is not None]
        return fmean(scores) if scores else float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a policy makes of an experiment, and by which numbers."""

    is_stopped: bool
    text: str
    """Why it is stopped, or goes on, in one sentence."""


class Policy(Protocol):
    """Decides what a round runs and stops: a pure function of the results of the rounds before."""

    def judge(self, standings: Sequence[Standing]) -> Mapping[str, Verdict]:
        """Return experiment id -> verdict, of those that there is something to say of."""
        ...

    def folds(self, standings: Sequence[Standing]) -> Mapping[str, Sequence[int]]:
        """Return experiment id -> the folds that the next round runs of it, none of which has ended."""
        ...

    def prune(self, trial: Trial, history: History, others: Sequence[History]) -> str | None:
        """Return why a trial is stopped after the last epoch of its history; None where it goes on.

        Args:
            trial: that runs, and has epochs left.
            history: of the trial so far.
            others: of the trials of the same fold that rounds before have committed.
        """
        ...


class RunAll:
    """Runs every fold of every experiment, and stops nothing."""

    def __init__(self, *, num_folds: int) -> None:
        """Run this many folds of each experiment."""
        self._num_folds = num_folds

    def judge(self, standings: Sequence[Standing]) -> Mapping[str, Verdict]:
        """Return nothing: there is nothing to say."""
        return {}

    def folds(self, standings: Sequence[Standing]) -> Mapping[str, Sequence[int]]:
        """Return all folds that are left."""
        return {
            each.experiment.experiment_id: [fold for fold in range(self._num_folds) if fold not in each.results]
            for each in standings
        }

    def prune(self, trial: Trial, history: History, others: Sequence[History]) -> str | None:
        """Let every trial train to its end."""
        return None


_: type[Policy] = RunAll
