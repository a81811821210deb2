"""The standard error of a score, and of the difference between two scores of the same rows, by the jackknife.

Leaving a group of rows out and scoring the others tells how much the score hangs on which rows there are. It needs
nothing of a metric but its function, so that it is the same for means over rows (log loss, F-beta) and for what is
pooled (AUC, RMSE, kappa) or averaged over folds.

Shape legend: N rows, C columns of a prediction, G groups of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.errors import DataError
from kaggle_ray.metrics.metric import Metric, over_folds, score_of_rows
from kaggle_ray.rows import Rows, blocks, select_rows
from kaggle_ray.types import BoolArray, Float64Array

NUM_GROUPS = 32
"""Groups that are left out in turn: an estimate of the standard error is then itself right within an eighth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Jackknifed:
    """A score, and what it is without each group of rows in turn."""

    score: float
    without: Float64Array | None
    """(G,) scores; None where the metric is not defined without some group, as AUC without the only row of a class."""

    @property
    def standard_error(self) -> float | None:
        """Standard deviation of the score over other samples of as many rows; None where it is not known."""
        return None if self.without is None else _standard_error(self.without)

    def standard_error_of_difference(self, other: Jackknifed) -> float:
        """Return the standard error of the difference from another score of the same rows; infinity if not known."""
        if self.without is None or other.without is None:
            return math.inf
        return _standard_error(self.without - other.without)


def jackknife(metric: Metric, target: Rows, values: Rows, fold_of: npt.NDArray[np.signedinteger[Any]]) -> Jackknifed:
    """Return the score of ``values`` (N, C), and what it is without each group of rows.

    The groups are the same whatever the values are. Where the metric is a mean over rows, some of them at a time are in
    memory, and where it is pooled, too, each row is a group by itself.

    Args:
        metric: of the competition; ``over_folds`` is taken here.
        target: (N,) or (N, T).
        values: answers, where the metric scores decided ones.
        fold_of: (N,) fold of each row.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 11 (the jackknife, by groups).
    """
    if metric.mean_over_rows:
        of_rows = np.concatenate(
            [metric.row_scores(target[block], values[block], first=block.start) for block in blocks(values)]
        )
        if metric.pooled:
            return jackknife_of_rows(of_rows)
        without = _without_groups(lambda kept: score_of_rows(metric, of_rows[kept], fold_of[kept]), len(of_rows))
        return Jackknifed(score=score_of_rows(metric, of_rows, fold_of), without=without)
    target, values = target[:], values[:]  # read once, not for each group

    def score_of(kept: BoolArray) -> float:
        return over_folds(metric, fold_of[kept]).score(select_rows(target, kept), select_rows(values, kept))

    score = over_folds(metric, fold_of).score(target, values)
    return Jackknifed(score=score, without=_without_groups(score_of, len(target)))


def jackknife_of_rows(scores: Float64Array) -> Jackknifed:
    """Return the mean of the scores of single rows (N,), and what it is without each of them."""
    without = (scores.sum() - scores) / (len(scores) - 1) if len(scores) > 1 else None
    return Jackknifed(score=float(scores.mean()), without=without)


def _without_groups(score_of: Callable[[BoolArray], float], num_rows: int) -> Float64Array | None:
    """Return (G,) what ``score_of`` says of the rows (N,) that each group leaves; None where that is not defined."""
    if num_rows < 2:
        return None
    num_groups = min(NUM_GROUPS, num_rows)
    group_of = np.random.default_rng(0).permutation(np.arange(num_rows) % num_groups)
    scores = []
    for group in range(num_groups):
        try:
            scores.append(score_of(group_of != group))
        except DataError:  # all rows together have a score, so that it is the group that holds what is lacking
            return None
    return np.array(scores)


def _standard_error(without: Float64Array) -> float:
    return math.sqrt((len(without) - 1) * float(np.var(without)))
