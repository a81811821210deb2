"""A run's trials as its events tell of them, and sums over them that cost the same however many trials there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from statistics import fmean
from typing import Generic, Literal, TypeVar

from kaggle_ray.progress import Progress
from kaggle_ray.types import EpochMetrics, Trial, TrialStatus

Key = TypeVar("Key", bound=Hashable)


@dataclass(kw_only=True, slots=True)
class TrialProgress:
    """How far one trial has come in this session."""

    trial: Trial
    status: Literal["running"] | TrialStatus = "running"
    epoch: int = 0
    """The last one completed; 0 before the first."""
    measured: EpochMetrics | None = None
    """What the last epoch measured."""
    doing: Progress | None = None
    """What it is at since then; None where nothing was told of it."""
    score: float | None = None
    """The fold's final score; set where status is committed."""
    duration_s: float = 0.0
    error: str | None = None
    reason: str | None = None
    """Why its source stopped it; set where status is pruned."""
    since: float = 0.0
    """When its last epoch ended, or it began, in seconds since the Unix epoch."""
    last_event_at: float = 0.0
    """Seconds since the Unix epoch."""


class Leader(Generic[Key]):
    """The best of scores that come, change and go; all are gone through only where the best one is no longer it."""

    def __init__(self, *, greater_is_better: bool) -> None:
        """There is no score yet."""
        self._sign = 1.0 if greater_is_better else -1.0
        self._scores: dict[Key, float] = {}
        self._best: Key | None = None

    def __len__(self) -> int:
        """Return the number of scores."""
        return len(self._scores)

    def put(self, key: Key, score: float | None) -> None:
        """Set the score of ``key``; None takes it away."""
        if self._scores.get(key) == score:
            return
        if score is None:
            del self._scores[key]
        else:
            self._scores[key] = score
        if key == self._best:
            self._best = max(self._scores, key=self._rank, default=None)
        elif score is not None and (self._best is None or self._rank(key) > self._rank(self._best)):
            self._best = key

    def best(self) -> tuple[Key, float] | None:
        """Return who has the best score, and that; None where there is none."""
        return None if self._best is None else (self._best, self._scores[self._best])

    def _rank(self, key: Key) -> float:
        return self._sign * self._scores[key]


@dataclass(frozen=True, slots=True)
class _Share:
    """What one trial adds to the sums."""

    status: str
    is_planned: bool
    num_epochs: int
    num_epochs_left: int
    epoch_cost: float


class TrialSums:
    """Sums over trials: who changes a trial puts it in anew, in place of what it was."""

    def __init__(self, *, num_folds: int, greater_is_better: bool) -> None:
        """There is no trial yet; an experiment is complete with ``num_folds`` committed ones."""
        self._num_folds = num_folds
        self._shares: dict[Trial, _Share] = {}
        self._folds: defaultdict[str, dict[Trial, float]] = defaultdict(dict)
        """Experiment id -> scores of its committed trials."""
        self.num_with: Counter[str] = Counter()
        """Status -> number of trials."""
        self.running: dict[Trial, TrialProgress] = {}
        """Trials under way, by the time of their start."""
        self.unplanned: dict[Trial, TrialProgress] = {}
        """Trials that are not among the folds of the experiments that are known."""
        self.num_epochs = 0
        """Epochs of all trials here, whether they are trained yet or not."""
        self.num_epochs_unplanned = 0
        """Epochs of the trials that are not planned."""
        self.num_epochs_left = 0
        """Epochs that the trials under way have before them."""
        self.cost = 0.0
        """What ``num_epochs`` cost, beside one another."""
        self.cost_unplanned = 0.0
        """What ``num_epochs_unplanned`` cost."""
        self.cost_left = 0.0
        """What ``num_epochs_left`` cost."""
        self.means: Leader[str] = Leader(greater_is_better=greater_is_better)
        """Means over all folds, by experiment id."""
        self.singles: Leader[Trial] = Leader(greater_is_better=greater_is_better)
        """Scores of single folds."""

    def put(self, of_trial: TrialProgress, *, num_epochs: int, epoch_cost: float, is_planned: bool) -> None:
        """Count a trial as it is now, which is to train ``num_epochs`` that cost so much each."""
        trial, is_running = of_trial.trial, of_trial.status == "running"
        left = max(0, num_epochs - of_trial.epoch) if is_running else 0
        share = _Share(of_trial.status, is_planned, num_epochs, left, epoch_cost)
        if (before := self._shares.get(trial)) is not None:
            self._count(before, -1)
        self._count(share, 1)
        self._shares[trial] = share
        _keep(self.running, of_trial, is_running)
        _keep(self.unplanned, of_trial, not is_planned)
        self._rate(trial, of_trial.score if of_trial.status == "committed" else None)

    def _count(self, share: _Share, sign: int) -> None:
        self.num_with[share.status] += sign
        self.num_epochs += sign * share.num_epochs
        self.num_epochs_left += sign * share.num_epochs_left
        self.cost += sign * share.num_epochs * share.epoch_cost
        self.cost_left += sign * share.num_epochs_left * share.epoch_cost
        if not share.is_planned:
            self.num_epochs_unplanned += sign * share.num_epochs
            self.cost_unplanned += sign * share.num_epochs * share.epoch_cost

    def _rate(self, trial: Trial, score: float | None) -> None:
        of_folds = self._folds[trial.experiment_id]
        if of_folds.get(trial) == score:
            return
        if score is None:
            del of_folds[trial]
        else:
            of_folds[trial] = score
        self.singles.put(trial, score)
        is_complete = bool(of_folds) and len(of_folds) == self._num_folds
        self.means.put(trial.experiment_id, fmean(of_folds.values()) if is_complete else None)


def _keep(trials: dict[Trial, TrialProgress], of_trial: TrialProgress, is_kept: bool) -> None:
    if is_kept:
        trials.setdefault(of_trial.trial, of_trial)
    else:
        trials.pop(of_trial.trial, None)
