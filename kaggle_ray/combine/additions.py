"""The best member to add at each step of a selection, without scoring each mean where a metric's shape tells enough.

Log loss is convex: the gradient at the mean of the chosen bounds from below what any member can make of it, so that one
product with all members tells which few are worth a look. AUC is scored roughly on a sample of the rows, and the best
by it are confirmed on all. Masks are scored by the pixels on which the members are not of one mind. Whatever is chosen
is chosen by the metric itself, on the mean that will be submitted.

Shape legend: M members, N rows, n of them, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from kaggle_ray.combine.disputed import BestMask
from kaggle_ray.metrics import AUC, LOG_LOSS, Metric
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.types import Float64Array, FloatArray, IntArray

BestAddition = Callable[[IntArray], tuple[int, float]]
"""Returns, for the times (M,) that each member is chosen, the member that is best added, and the score of the mean."""

_LEAST_PROBABILITY = 1e-15
_ROUNDING = 1e-5
"""More than rounding to float32 changes a mean log loss by."""
_SAMPLE_ROWS = 8192
_NUM_BINS = 4096
_NUM_CONFIRMED = 24
"""Members, the best on the sample, that are scored on all rows."""
_CHUNK = 64
"""Members whose means are in memory at once."""


def best_addition_of(members: Sequence[Rows], target: Rows, metric: Metric) -> BestAddition | None:
    """Return a quick way to find the best addition, None where there is none.

    It holds all members once more as float32: M N numbers for log loss, a sample of them for AUC, and of masks the
    disputed pixels of as many images as fit into 64 MiB.

    Args:
        members: M predictions, each (N, C).
        target: (N,) or (N, T) what they predict.
        metric: decides.
    """
    if metric.score_of_counts is not None:
        return BestMask(members, target, metric, metric.score_of_counts)
    if len(target.shape) != 1 or any(isinstance(member, LazyRows) for member in members):
        return None
    arrays = [np.asarray(member[:], dtype=np.float32) for member in members]
    if metric.score_fn is LOG_LOSS.score_fn:
        return _OfLogLoss(arrays, target[:], metric)
    if metric.score_fn is AUC.score_fn and len(target) > _SAMPLE_ROWS and len(members) > 2 * _NUM_CONFIRMED:
        return _OfAuc(arrays, target[:], metric)
    return None


class _Chosen:
    """The sum of the chosen members, which grows by one at each step."""

    def __init__(self, members: Sequence[FloatArray], target: IntArray, metric: Metric) -> None:
        self._members, self._target, self._metric = members, target, metric
        self._counts: IntArray = np.zeros(len(members), dtype=np.int64)
        self._total: Float64Array = np.zeros(members[0].shape)

    def _advance(self, counts: IntArray) -> list[int]:
        """Take in what was chosen since; return it."""
        added = [index for index, times in enumerate(counts - self._counts) for _ in range(times)]
        for index in added:
            self._total += self._members[index]
        self._counts = counts
        return added

    def _best_of(self, candidates: npt.NDArray[np.integer]) -> tuple[int, float]:
        """Return the best of some members, of equals the first, by the metric itself."""
        best, best_score = -1, float("nan")
        for index in sorted(candidates.tolist()):
            mean = ((self._total + self._members[index]) / (self._counts.sum() + 1)).astype(np.float32)
            score = self._metric.score(self._target, mean)
            if best < 0 or self._metric.is_better(score, best_score):
                best, best_score = index, score
        return best, best_score


class _OfLogLoss(_Chosen):
    def __init__(self, members: Sequence[FloatArray], target: IntArray, metric: Metric) -> None:
        super().__init__(members, target, metric)
        self._of_truth = np.stack([_of_truth(member, target) for member in members])
        self._sum: Float64Array = np.zeros(len(target))
        sums = [float(np.abs(np.log(np.maximum(m.sum(axis=1), 1e-6))).max()) for m in members if m.shape[1] > 1]
        self._slack = _ROUNDING + 2 * max(sums, default=0.0)
        """What the sums of rows of probabilities, of which the metric takes the shares, may change."""

    def __call__(self, counts: IntArray) -> tuple[int, float]:
        for index in self._advance(counts):
            self._sum += self._of_truth[index]
        num_chosen = int(counts.sum())
        if num_chosen:
            mean = np.maximum(self._sum / num_chosen, _LEAST_PROBABILITY)
            gains = self._of_truth @ (1 / mean).astype(np.float32) / len(mean) - 1
            bounds = -np.log(mean).mean() - gains / (num_chosen + 1)
        else:
            bounds = np.full(len(counts), -np.inf)
        scores = np.full(len(counts), np.inf)
        for index in np.argsort(bounds, kind="stable").tolist():
            if bounds[index] > scores.min() + self._slack:
                break
            scores[index] = self._rough(index, num_chosen)
        return self._best_of(np.flatnonzero(scores <= scores.min() + self._slack))

    def _rough(self, index: int, num_chosen: int) -> float:
        mean = ((self._sum + self._of_truth[index]) / (num_chosen + 1)).astype(np.float32)
        return -float(np.log(np.maximum(mean, np.float32(_LEAST_PROBABILITY))).mean(dtype=np.float64))


class _OfAuc(_Chosen):
    def __init__(self, members: Sequence[FloatArray], target: IntArray, metric: Metric) -> None:
        super().__init__(members, target, metric)
        rng = np.random.default_rng(0)
        rows = np.concatenate([_some(np.flatnonzero(target == label), len(target), rng) for label in (0, 1)])
        self._is_positive = (target[rows] == 1).astype(np.int64)
        sample = np.stack([member[rows, 0] for member in members])
        low, high = float(sample.min()), float(sample.max())
        self._sample = ((sample - low) / max(high - low, 1e-12)).astype(np.float32)
        self._sum: FloatArray = np.zeros(len(rows), dtype=np.float32)

    def __call__(self, counts: IntArray) -> tuple[int, float]:
        for index in self._advance(counts):
            self._sum += self._sample[index]
        scale = np.float32((_NUM_BINS - 1) / (counts.sum() + 1))
        starts = range(0, len(counts), _CHUNK)
        rough = np.concatenate([self._rough((self._sum + self._sample[at : at + _CHUNK]) * scale) for at in starts])
        return self._best_of(np.argpartition(-rough, _NUM_CONFIRMED)[:_NUM_CONFIRMED])

    def _rough(self, bins: FloatArray) -> Float64Array:
        """Return (m,) the AUC of some members' means (m, n), given in bins, those of one bin being equal."""
        codes = bins.astype(np.int64) * 2 + self._is_positive
        codes += np.arange(len(codes))[:, np.newaxis] * (2 * _NUM_BINS)
        counts = np.bincount(codes.ravel(), minlength=len(codes) * 2 * _NUM_BINS).reshape(len(codes), _NUM_BINS, 2)
        negatives, positives = counts[..., 0], counts[..., 1]
        below = np.cumsum(negatives, axis=1) - negatives / 2
        return np.asarray((positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1)))


def _of_truth(values_NC: FloatArray, target_N: IntArray) -> FloatArray:
    """Return (N,) the probability that each row's own class is given."""
    if values_NC.shape[1] == 1:
        return np.where(target_N == 1, values_NC[:, 0], 1 - values_NC[:, 0])
    return np.asarray(values_NC[np.arange(len(target_N)), target_N.astype(np.int64)])


def _some(rows: IntArray, num_rows: int, rng: np.random.Generator) -> IntArray:
    """Return as many of a class's rows as keep its share in the sample."""
    return rng.choice(rows, size=max(1, min(len(rows), round(_SAMPLE_ROWS * len(rows) / num_rows))), replace=False)
