"""The best member to add at each step of a selection, without scoring each mean where a metric's shape tells enough.

Log loss is convex: the gradient at a mean bounds from below what any member can make of this or another mean, so that
one product with all members tells for some steps which few are worth a look. What a member adds to AUC is told roughly
by how many rows of the other class are near each row; of the best by it, counts in bins tell which may be best of all.
Masks are scored by the pixels on which the members are not of one mind. Whatever is chosen is chosen by the metric
itself, on the mean that will be submitted.

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
_MOST_FINE_BINS = 2**16
_NUM_CONFIRMED = 10
"""Members, the best by a rough score, that are scored in bins of all rows."""
_REACH = 0.15
"""How far one member moves a row, of all the width that values have."""
_TRIED_SHARE = 0.05
"""Members of all that are scored, at most, by bounds of an earlier step: to take the bounds anew costs as much."""


def best_addition_of(members: Sequence[Rows], target: Rows, metric: Metric) -> BestAddition | None:
    """Return a quick way to find the best addition, None where there is none.

    It holds all members once more as float32, M N numbers, for log loss, for AUC only where they are not; of masks the
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
        most = max(2, round(_TRIED_SHARE * len(counts)))
        if self._tangent is None or not self._score(scores, self._tangent.bounds(self._sum, num_chosen), most=most):
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
        self._columns = [member[:, 0] for member in members]
        self._low = min(float(column.min()) for column in self._columns)
        highest = max(float(column.max()) for column in self._columns)
        self._width = max(highest - self._low, 1e-12)
        self._is_positive = target == 1
        self._negatives, self._positives = np.flatnonzero(~self._is_positive), np.flatnonzero(self._is_positive)
        self._num_fine_bins = min(_MOST_FINE_BINS, 2 ** math.ceil(math.log2(len(target))))

    def __call__(self, counts: IntArray) -> tuple[int, float]:
        self._advance(counts)
        rough = self._gains(int(counts.sum())) if counts.any() else self._alone()
        return self._best_of(self._promising(np.argpartition(-rough, _NUM_CONFIRMED)[:_NUM_CONFIRMED]))

    def _gains(self, num_chosen: int) -> Float64Array:
        """Return (M,) about what each member adds to the AUC of those chosen, up to one factor for all.

        A member moves a row past those of the other class that are near it, and the further, the higher its value is.
        Near is as far as one more member moves rows, counted with weights that fall to both sides.
        """
        mean = self._total[:, 0] / num_chosen
        bins = ((mean - self._low) * ((_NUM_BINS - 1) / self._width)).astype(np.int64)
        reach = max(1, round(_REACH * _NUM_BINS / (num_chosen + 1)))
        negatives, positives = (
            _smoothed(np.bincount(bins[rows], minlength=_NUM_BINS), reach)
            for rows in (self._negatives, self._positives)
        )
        slope = np.where(self._is_positive, negatives.take(bins), -positives.take(bins))
        slope = (slope / max(float(np.abs(slope).max()), 1e-12)).astype(np.float32)
        return np.array([float(np.dot(column, slope)) for column in self._columns])

    def _alone(self) -> Float64Array:
        """Return (M,) the AUC of each member by itself, roughly: on a sample of the rows, those of one bin equal."""
        rng, num_rows = np.random.default_rng(0), len(self._is_positive)
        negatives, positives = (_some(rows, num_rows, rng) for rows in (self._negatives, self._positives))
        found = np.empty(len(self._columns))
        for index, column in enumerate(self._columns):
            of_negatives, of_positives = (self._bins(column[rows], _NUM_BINS) for rows in (negatives, positives))
            num_in = np.bincount(of_negatives, minlength=_NUM_BINS)
            found[index] = (2 * np.cumsum(num_in) - num_in).take(of_positives).sum()
        return found

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
        bins = self._bins(mean, self._num_fine_bins)
        negatives = np.bincount(bins[self._negatives], minlength=self._num_fine_bins)
        of_positives = bins[self._positives]
        not_above = np.cumsum(negatives)
        most = int(not_above.take(of_positives).sum())
        return most - int(negatives.take(of_positives).sum()), most

    def _bins(self, values: FloatArray, num_bins: int) -> IntArray:
        scale = np.float32((num_bins - 1) / self._width)  # rounding stays below one bin, at both ends
        return ((values - np.float32(self._low)) * scale).astype(np.int64)


def _smoothed(counts: IntArray, reach: int) -> Float64Array:
    """Return how much there is around each bin, with weights that fall from the bin itself to those in reach."""
    smooth = counts.astype(np.float64)
    for _ in range(2):  # the sum of a sum over a window has a triangle of weights
        sums = np.cumsum(np.pad(smooth, (reach + 1, reach)))
        smooth = sums[2 * reach + 1 :] - sums[: -2 * reach - 1]
    return smooth


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
