"""Races: experiments start with one fold, earn the next one, and are stopped by what the folds that they share say.

Shape legend: M experiments, N rows of the shared folds, C columns of a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from kaggle_ray.combine.combiner import FoldOf
from kaggle_ray.combine.greedy import greedy_weights
from kaggle_ray.counted import counted
from kaggle_ray.decide import decided, default_decision
from kaggle_ray.metrics import Metric, over_folds
from kaggle_ray.rows import Rows
from kaggle_ray.schedule.policy import History, Policy, Standing, Verdict
from kaggle_ray.types import FloatArray, Target, Trial, TrialResult

NUM_RESAMPLES = 200
"""Bootstrap samples of the rows."""
SHARE_OF_ROWS = 0.05
"""Rows of a bootstrap sample: so few, as the rows of a fold share one training, which on another fold turns out better
or worse. All rows tell the chance on just these folds; the m out of n bootstrap leaves room for those to come.

Source: Bickel, Goetze and van Zwet, "Resampling fewer than n observations", Statistica Sinica 1997.
"""
_FEWEST_ROWS = 8
"""Rows of a bootstrap sample at least: fewer tell nothing of an ensemble."""
MIN_CHANCE = 0.05
"""Chance of a weight in the ensemble below which an experiment is stopped."""
MAX_ROWS = 2000
"""Rows that are resampled at most, evenly spaced among those of the shared folds: a chance of 5 % needs no more."""
_MAX_STEPS = 10
"""Members that an ensemble of resampled rows chooses at most, repeated ones counted: a smaller share is negligible."""
_LEADING_SHARE = 3
"""One in so many experiments runs a fold first, for the others to be compared with it while they train."""
_FEWEST_TO_SPLIT = 6


class OutOfFold(Protocol):
    """What a race reads of committed trials."""

    def predictions(self, result: TrialResult) -> Rows:
        """Return (n, C) the predictions of the trial's own fold, in the order of the fold plan."""
        ...

    def target(self, fold: int) -> Rows:
        """Return (n,) or (n, T) what they predict."""
        ...


class Race:
    """Stops an experiment whose chance of a weight in the ensemble is negligible, be it of the best or not."""

    def __init__(
        self, out_of_fold: OutOfFold, metric: Metric, *, num_folds: int, num_resamples: int = NUM_RESAMPLES
    ) -> None:
        """Compare experiments by ``metric`` on the rows that they all predict, ``num_resamples`` times."""
        self._out_of_fold, self._metric, self._num_folds = out_of_fold, metric, num_folds
        self._num_resamples = num_resamples

    def judge(self, standings: Sequence[Standing]) -> Mapping[str, Verdict]:
        """Return the verdicts on all incomplete experiments that share folds with others.

        One is judged on all its folds, and on those that it shares with others that have come less far: it is stopped
        by any of these comparisons.
        """
        verdicts: dict[str, Verdict] = {}
        for folds in sorted({tuple(sorted(each.results)) for each in standings if each.results}):
            rivals = [each for each in standings if each.results.keys() >= set(folds)]
            ids = [each.experiment.experiment_id for each in rivals if len(each.results) < self._num_folds]
            if len(rivals) < 2 or not ids:
                continue
            chances = {
                each.experiment.experiment_id: chance
                for each, chance in zip(rivals, self._chances(rivals, folds), strict=True)
            }
            for each_id in ids:
                if each_id not in verdicts or not verdicts[each_id].is_stopped:
                    verdicts[each_id] = self._verdict(chances[each_id], folds, len(rivals))
        return verdicts

    def _verdict(self, chance: float, folds: Sequence[int], num_rivals: int) -> Verdict:
        return Verdict(
            is_stopped=chance < MIN_CHANCE,
            text=f"On {_named(folds)} it has weight in {chance:.1%} of "
            f"{counted(self._num_resamples, 'ensemble')} of resampled rows, "
            f"chosen among {counted(num_rivals, 'experiment')}; below {MIN_CHANCE:.0%} it is stopped.",
        )

    def folds(self, standings: Sequence[Standing]) -> Mapping[str, Sequence[int]]:
        """Return the next fold of each; of many that come to a fold first, the leading third only."""
        next_fold = {
            each.experiment.experiment_id: min(set(range(self._num_folds)) - each.results.keys(), default=None)
            for each in standings
        }
        planned: dict[str, Sequence[int]] = {}
        for fold in sorted({fold for fold in next_fold.values() if fold is not None}):
            coming = [each for each in standings if next_fold[each.experiment.experiment_id] == fold]
            if len(coming) >= _FEWEST_TO_SPLIT and not any(fold in each.results for each in standings):
                coming = sorted(coming, key=self._rank)[: math.ceil(len(coming) / _LEADING_SHARE)]
            planned |= {each.experiment.experiment_id: [fold] for each in coming}
        return planned

    def prune(self, trial: Trial, history: History, others: Sequence[History]) -> str | None:
        """Prune a trial that is worse than each of several others was at half its epochs, on the same fold."""
        epoch, half = len(history), math.ceil(len(history) / 2)
        earlier = [other[half - 1].score for other in others if len(other) >= half]
        earlier = [score for score in earlier if math.isfinite(score)]
        score = history[-1].score
        if epoch < 2 or len(earlier) < 2 or not math.isfinite(score):
            return None
        if not all(self._metric.is_better(other, score) for other in earlier):
            return None
        worst = (min if self._metric.greater_is_better else max)(earlier)
        return (
            f"After epoch {epoch} it scores {score:.5f} on fold {trial.fold}, and the worst of "
            f"{counted(len(earlier), 'other')} "
            f"had {worst:.5f} there after epoch {half}."
        )

    def _rank(self, standing: Standing) -> float:
        score = standing.mean_score
        return math.inf if math.isnan(score) else -score if self._metric.greater_is_better else score

    def _chances(self, rivals: Sequence[Standing], folds: Sequence[int]) -> list[float]:
        """Return for each of M experiments in how many of the bootstrap samples greedy selection weights it."""
        targets = [np.asarray(self._out_of_fold.target(fold)[:]) for fold in folds]
        target, fold_of = np.concatenate(targets), np.repeat(np.array(folds, dtype=np.int8), [len(t) for t in targets])
        rows = np.unique(np.linspace(0, len(target) - 1, min(len(target), MAX_ROWS)).round().astype(np.int64))
        members = [
            np.concatenate([self._out_of_fold.predictions(each.results[fold])[:] for fold in folds])[rows]
            for each in rivals
        ]
        return chances_of_weight(members, target[rows], fold_of[rows], self._metric, num_resamples=self._num_resamples)


def chances_of_weight(
    members: Sequence[FloatArray], target: Target, fold_of: FoldOf, metric: Metric, *, num_resamples: int
) -> list[float]:
    """Return for each of M members the share of bootstrap samples in which greedy selection gives it weight.

    Args:
        members: M predictions, each (N, C).
        target: (N,) or (N, T) what they predict.
        fold_of: (N,) fold of each row.
        metric: decides; greater or smaller is better.
        num_resamples: samples of a twentieth of the rows, drawn with replacement, the same ones whoever they are for.
    """
    rng = np.random.default_rng(0)
    metric = decided(metric, default_decision(metric, members[0].shape[1]))
    has_weight = np.zeros(len(members))
    for _ in range(num_resamples):
        rows = rng.integers(len(target), size=max(math.ceil(len(target) * SHARE_OF_ROWS), _FEWEST_ROWS))
        weights = greedy_weights(
            [member[rows] for member in members],
            target[rows],
            over_folds(metric, fold_of[rows]),
            max_steps=_MAX_STEPS,
        )
        has_weight += weights > 0
    return [float(share) for share in has_weight / num_resamples]


class Forgiving:
    """Stops an experiment whose mean so far is worse than the worst fold of the best complete one.

    The leader by its first fold runs the others at once, so that there is one to compare with.

    Source: Bergman et al., "Don't Waste Your Time: Early Stopping Cross-Validation", AutoML 2024.
    """

    def __init__(self, metric: Metric, *, num_folds: int) -> None:
        """Compare means of folds by ``metric``."""
        self._metric, self._num_folds = metric, num_folds

    def judge(self, standings: Sequence[Standing]) -> Mapping[str, Verdict]:
        """Return the verdicts on all incomplete experiments, once there is a complete one."""
        complete = [each for each in standings if len(each.results) == self._num_folds and _has_score(each)]
        if not complete:
            return {}
        best = sorted(complete, key=self._rank)[0]
        scores = [result.score for result in best.results.values() if result.score is not None]
        worst = (min if self._metric.greater_is_better else max)(scores)
        return {
            each.experiment.experiment_id: Verdict(
                is_stopped=self._metric.is_better(worst, each.mean_score),
                text=f"Its mean on {_named(sorted(each.results))} is {each.mean_score:.5f}; it is stopped where that "
                f"is worse than {worst:.5f}, the worst fold of the best complete experiment, {best.experiment.name}.",
            )
            for each in standings
            if each.results and len(each.results) < self._num_folds and _has_score(each)
        }

    def folds(self, standings: Sequence[Standing]) -> Mapping[str, Sequence[int]]:
        """Return the next fold of each, and of the leader all that are left while none is complete."""
        left = {
            each.experiment.experiment_id: sorted(set(range(self._num_folds)) - each.results.keys())
            for each in standings
        }
        planned = {each_id: folds[:1] for each_id, folds in left.items()}
        begun = sorted((each for each in standings if _has_score(each)), key=self._rank)
        if begun and all(left.values()):
            leader = begun[0].experiment.experiment_id
            planned[leader] = left[leader]
        return planned

    def prune(self, trial: Trial, history: History, others: Sequence[History]) -> str | None:
        """Let every trial train to its end."""
        return None

    def _rank(self, standing: Standing) -> float:
        return -standing.mean_score if self._metric.greater_is_better else standing.mean_score


def _has_score(standing: Standing) -> bool:
    return not math.isnan(standing.mean_score)


def _named(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"


_: tuple[type[Policy], ...] = (Race, Forgiving)
