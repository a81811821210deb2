"""The best member to add at each step of a selection, without scoring each mean where a metric's shape tells enough.

Log loss is convex: the gradient at a mean bounds from below what any member can make of this or another mean, so that
one product with all members tells for some steps which few are worth a look. AUC is scored roughly on a sample of the
rows; of the best by it, counts of all rows in bins tell which may be the best of all. Masks are scored by the pixels on
which the members are not of one mind. Whatever is chosen is chosen by the metric itself, on the mean that will be
submitted.

Shape legend: M members, N rows, n of them, C columns of a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaggle_ray.combine.disputed import BestMask
from kaggle_ray.metrics import AUC, LOG_LOSS, Metric
from kaggle_ray.rows import Rows, are_read_anew
from kaggle_ray.types import Float64Array, FloatArray, IntArray

BestAddition = Callable[[IntArray], tuple[int, float]]
"""Returns, for the times (M,) that each member is chosen, the member that is best added, and the score of the mean."""

_LEAST_PROBABILITY = 1e-15
_ROUNDING = 1e-5
"""More than rounding to float32 changes a mean log loss by."""
_SAMPLE_ROWS = 8192
_NUM_BINS = 4096
_NUM_FINE_BINS = 2**16
_NUM_CONFIRMED = 24
"""Members, the best on the sample, that are scored on all rows."""
_TRIED = 100
"""Members that are scored, at most, by bounds of an earlier step, before the bounds are taken anew."""
_CHUNK = 16
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
    if len(target.shape) != 1 or any(map(are_read_anew, members)):
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
        self._of_truth = _of_truth(members, target)
        self._exact_sum: Float64Array = np.zeros(len(target))
        self._sum: FloatArray = np.zeros(len(target), dtype=np.float32)
        self._mean: FloatArray = np.empty(len(target), dtype=np.float32)
        self._tangent: _Tangent | None = None
        sums = [float(np.abs(np.log(np.maximum(m.sum(axis=1), 1e-6))).max()) for m in members if m.shape[1] > 1]
        self._slack = _ROUNDING + 2 * max(sums, default=0.0)
        """What the sums of rows of probabilities, of which the metric takes the shares, may change."""

    def __call__(self, counts: IntArray) -> tuple[int, float]:
        for index in self._advance(counts):
            self._exact_sum += self._of_truth[index]
        self._sum = self._exact_sum.astype(np.float32)
        num_chosen = int(counts.sum())
        scores = np.full(len(counts), np.inf)
        if self._tangent is None or not self._score(scores, self._tangent.bounds(self._sum, num_chosen), most=_TRIED):
            # Too many are promising by the slope where the mean was some steps ago: that where it is now tells more.
            bounds = np.full(len(counts), -np.inf)
            if num_chosen:
                self._tangent = _Tangent.at(self._sum / np.float32(num_chosen), self._of_truth)
                bounds = self._tangent.bounds(self._sum, num_chosen)
            self._score(scores, bounds, most=len(counts))
        return self._best_of(np.flatnonzero(scores <= scores.min() + self._slack))

    def _score(self, scores: Float64Array, bounds: Float64Array, *, most: int) -> bool:
        """Score roughly whoever may be the best by the bounds; return whether those were no more than ``most``."""
        num_chosen = int(self._counts.sum())
        order = np.argsort(bounds, kind="stable").tolist()
        for number, index in enumerate(order):
            if bounds[index] > scores.min() + self._slack:
                return True
            if number == most:
                return False
            if np.isinf(scores[index]):
                scores[index] = self._rough(index, num_chosen)
        return True

    def _rough(self, index: int, num_chosen: int) -> float:
        np.add(self._sum, self._of_truth[index], out=self._mean)
        np.maximum(self._mean, np.float32((num_chosen + 1) * _LEAST_PROBABILITY), out=self._mean)
        np.log(self._mean, out=self._mean)
        return math.log(num_chosen + 1) - float(self._mean.mean(dtype=np.float64))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tangent:
    """The log loss near one mean, taken for linear: as it is convex, it is nowhere less."""

    loss: float
    """Log loss of the mean itself."""
    slope: FloatArray
    """(N,) what the loss falls by with each row's probability."""
    of_members: Float64Array
    """(M,) products of the slope with what each member says of the truth."""

    @staticmethod
    def at(mean: FloatArray, of_truth: FloatArray) -> _Tangent:
        mean = np.maximum(mean, np.float32(_LEAST_PROBABILITY))
        slope: FloatArray = np.float32(1) / mean
        products = (of_truth @ slope).astype(np.float64) / len(mean)
        return _Tangent(loss=-float(np.log(mean).mean(dtype=np.float64)), slope=slope, of_members=products)

    def bounds(self, total: FloatArray, num_chosen: int) -> Float64Array:
        """Return (M,) what the loss is at least of the mean with each member, given the sum (N,) of those chosen."""
        of_chosen = float(np.dot(total, self.slope)) / len(total)
        return np.asarray(self.loss + 1 - (of_chosen + self.of_members) / (num_chosen + 1))


class _OfAuc(_Chosen):
    def __init__(self, members: Sequence[FloatArray], target: IntArray, metric: Metric) -> None:
        super().__init__(members, target, metric)
        rng = np.random.default_rng(0)
        negatives, positives = (_some(np.flatnonzero(target == label), len(target), rng) for label in (0, 1))
        self._num_negatives, self._num_positives = len(negatives), len(positives)
        rows = np.concatenate([negatives, positives])
        sample = np.stack([member[rows, 0] for member in members])
        self._low, self._width = float(sample.min()), max(float(sample.max() - sample.min()), 1e-12)
        self._sample = ((sample - self._low) / self._width).astype(np.float32)
        self._negatives, self._positives = (np.flatnonzero((target == 1) == label) for label in (False, True))
        self._sum: FloatArray = np.zeros(len(rows), dtype=np.float32)

    def __call__(self, counts: IntArray) -> tuple[int, float]:
        for index in self._advance(counts):
            self._sum += self._sample[index]
        scale = np.float32((_NUM_BINS - 1) / (counts.sum() + 1))
        starts = range(0, len(counts), _CHUNK)
        rough = np.concatenate([self._rough((self._sum + self._sample[at : at + _CHUNK]) * scale) for at in starts])
        return self._best_of(self._promising(np.argpartition(-rough, _NUM_CONFIRMED)[:_NUM_CONFIRMED]))

    def _promising(self, candidates: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """Return those of some members whose mean may have the highest AUC, by counts in bins of all rows.

        Of two rows in different bins it is known which has more; of two in the same one nothing is.
        """
        bounds = np.array([self._bounds(index) for index in candidates.tolist()])
        lower, upper = bounds.T
        promising: npt.NDArray[np.integer] = candidates[upper >= lower.max()]
        return promising

    def _bounds(self, index: int) -> tuple[int, int]:
        """Return how many pairs of rows the mean with a member has in order at least, and at most."""
        mean = ((self._total + self._members[index]) / (self._counts.sum() + 1)).astype(np.float32)[:, 0]
        bins = ((mean - np.float32(self._low)) * np.float32(_NUM_FINE_BINS / self._width)).astype(np.int64)
        np.clip(bins, 0, _NUM_FINE_BINS - 1, out=bins)
        negatives = np.bincount(bins[self._negatives], minlength=_NUM_FINE_BINS)
        of_positives = bins[self._positives]
        not_above = np.cumsum(negatives)
        most = int(not_above.take(of_positives).sum())
        return most - int(negatives.take(of_positives).sum()), most

    def _rough(self, values: FloatArray) -> Float64Array:
        """Return (m,) the AUC of some members' means (m, n), given in bins, those of one bin being equal."""
        bins = values.astype(np.int64)
        bins += np.arange(len(bins))[:, np.newaxis] * _NUM_BINS
        negatives = np.bincount(bins[:, : self._num_negatives].ravel(), minlength=len(bins) * _NUM_BINS)
        negatives = negatives.reshape(len(bins), _NUM_BINS)
        twice_below = 2 * np.cumsum(negatives, axis=1) - negatives
        won = twice_below.ravel().take(bins[:, self._num_negatives :]).sum(axis=1)
        return np.asarray(won / (2 * self._num_positives * self._num_negatives))


def _of_truth(members: Sequence[FloatArray], target_N: IntArray) -> FloatArray:
    """Return (M, N) the probability that each row's own class is given by each member."""
    found: FloatArray = np.empty((len(members), len(target_N)), dtype=np.float32)
    if members[0].shape[1] > 1:
        picked = np.arange(len(target_N)), target_N.astype(np.int64)
        for of_member, member in zip(found, members, strict=True):
            of_member[:] = member[picked]
        return found
    sign = np.where(target_N == 1, np.float32(1), np.float32(-1))
    rest = np.where(target_N == 1, np.float32(0), np.float32(1))
    for of_member, member in zip(found, members, strict=True):
        np.multiply(member[:, 0], sign, out=of_member)
        of_member += rest
    return found


def _some(rows: IntArray, num_rows: int, rng: np.random.Generator) -> IntArray:
    """Return as many of a class's rows as keep its share in the sample."""
    return rng.choice(rows, size=max(1, min(len(rows), round(_SAMPLE_ROWS * len(rows) / num_rows))), replace=False)
