"""Greedy selection: members are added one at a time, each as often as it helps.

Shape legend: M members, N rows, C columns of a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from kaggle_ray.combine.additions import best_addition_of
from kaggle_ray.combine.combiner import COMBINERS, FoldOf, WeightedMean
from kaggle_ray.metrics import Metric, over_folds
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue

MAX_STEPS = 25
"""Members, repeated ones counted, that forward selection chooses at most."""


def greedy_weights(
    members: Sequence[Rows], target: Rows, metric: Metric, *, max_steps: int = MAX_STEPS
) -> Float64Array:
    """Return (M,) the weights of forward selection with replacement, the best prefix of its path.

    The path starts from the best single member; each step adds the member that makes the mean of the chosen best. Ties
    go to the earlier step and the lower index. Where the metric is a mean over rows, some of them at a time are in
    memory.

    Args:
        members: M predictions, each (N, C).
        target: (N,) or (N, T) what they predict.
        metric: decides; greater or smaller is better.
        max_steps: length of the path, at least 1.

    Source: Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004.
    """
    counts = np.zeros(len(members), dtype=np.int64)
    best_counts, best_score = counts, float("nan")
    for length, (index, score) in enumerate(islice(selection_path(members, target, metric), max_steps), start=1):
        counts = counts + (np.arange(len(members)) == index)
        if length == 1 or metric.is_better(score, best_score):
            best_counts, best_score = counts, score
    return np.asarray(best_counts / best_counts.sum())


def selection_path(members: Sequence[Rows], target: Rows, metric: Metric) -> Iterator[tuple[int, float]]:
    """Yield without end the number of the member that is added next, and the score of the mean with it.

    Args:
        members: M predictions, each (N, C).
        target: (N,) or (N, T) what they predict.
        metric: decides; greater or smaller is better.
    """
    counts = np.zeros(len(members), dtype=np.int64)
    quick = best_addition_of(members, target, metric)
    while True:
        index, score = quick(counts) if quick else _best_addition(counts, members, target, metric)
        yield index, score
        counts = counts + (np.arange(len(members)) == index)


def _best_addition(counts: IntArray, members: Sequence[Rows], target: Rows, metric: Metric) -> tuple[int, float]:
    """Return the member that is best added to those chosen ``counts`` (M,) times each, and the score of their mean."""
    if metric.mean_over_rows:
        scores = _streamed_scores(counts, members, target, metric)
    else:
        scores = [metric.score(target, mean) for mean in _means_of_additions(counts, members, slice(None))]
    best = 0
    for index, score in enumerate(scores):
        best = index if metric.is_better(score, scores[best]) else best
    return best, scores[best]


def _streamed_scores(counts: IntArray, members: Sequence[Rows], target: Rows, metric: Metric) -> list[float]:
    """Return the score of each mean; some rows at a time are in memory."""
    row_scores = np.empty((len(members), len(target)))
    for block in blocks(members[0]):
        target_of_block = target[block]
        for index, mean in enumerate(_means_of_additions(counts, members, block)):
            row_scores[index, block] = metric.row_scores(target_of_block, mean, first=block.start)
    return [float(of_mean.mean()) for of_mean in row_scores]


def _means_of_additions(counts: IntArray, members: Sequence[Rows], rows: slice) -> Iterator[FloatArray]:
    """Yield for each member some rows of its mean with those that are chosen.

    The sum of the chosen ones is taken once for all, so that a step costs O(M N C), however long the path.
    """
    parts = [member[rows] for member in members]
    total = np.zeros(parts[0].shape)
    for index in np.flatnonzero(counts).tolist():
        total += counts[index] * parts[index].astype(np.float64)
    for part in parts:
        # Rounded to float32 as `blend` rounds, so that what is selected is what will be submitted.
        yield ((total + part) / (counts.sum() + 1)).astype(np.float32)


@COMBINERS.register("greedy")
class Greedy:
    """Forward selection with replacement: see ``greedy_weights``."""

    max_steps = MAX_STEPS

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> WeightedMean:
        """Return the weights of the best selection; the members are tried in the order of their ids."""
        ids = sorted(members)
        if len(ids) == 1:
            return WeightedMean.of(ids, np.ones(1))
        values, scorer = [members[member_id] for member_id in ids], over_folds(metric, fold_of)
        return WeightedMean.of(ids, greedy_weights(values, target, scorer, max_steps=self.max_steps))

    def from_json(self, value: Mapping[str, JsonValue]) -> WeightedMean:
        """Return the weights that ``WeightedMean.to_json`` described."""
        return WeightedMean.from_json(value)


@COMBINERS.register("best")
class Best(Greedy):
    """The one member that scores best: forward selection that ends where it starts."""

    max_steps = 1


@COMBINERS.register("bagged")
class Bagged:
    """The mean of greedy selections from half of the members each: a lucky member is in half of them alone."""

    num_bags = 20

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> WeightedMean:
        """Return the mean weights of the bags, which are drawn the same each time from the ids in their order.

        Source: Caruana et al., 2004, section 2.3.
        """
        ids, rng = sorted(members), np.random.default_rng(0)
        if len(ids) < 3:
            return Greedy().fit(members, target, fold_of, metric)
        total = dict.fromkeys(ids, 0.0)
        for _ in range(self.num_bags):
            chosen = rng.choice(len(ids), size=math.ceil(len(ids) / 2), replace=False)
            bag = {ids[index]: members[ids[index]] for index in sorted(chosen.tolist())}
            for member_id, weight in Greedy().fit(bag, target, fold_of, metric).weights.items():
                total[member_id] += weight / self.num_bags
        return WeightedMean.of(ids, np.array(list(total.values())))

    def from_json(self, value: Mapping[str, JsonValue]) -> WeightedMean:
        """Return the weights that ``WeightedMean.to_json`` described."""
        return WeightedMean.from_json(value)
