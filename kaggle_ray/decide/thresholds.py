"""Thresholds of labels for the mean F-beta of the rows.

Shape legend: N rows, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaggle_ray.metrics import Metric
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, IntArray, Target

COMMON_GRID = np.round(np.arange(0.02, 0.90, 0.01), 2)
_MAX_SWEEPS = 10
_MIN_POSITIVES = 20
"""A label with fewer rows keeps the common threshold: its own would be fitted to a handful."""
_SHRINKAGE_ROWS = 1000
"""A label's own threshold counts as much as the common one where it has as many positive rows as this."""
_SMOOTHING = 5.0
"""Standard deviation, in steps of the grid, over which scores are averaged: of few rows their highest is chance."""


def fit_thresholds(metric: Metric, target: Target, values: FloatArray) -> list[float]:
    """Return a threshold for each label.

    First the best one for all labels, by scores that are smoothed over its neighbours; then each label's own, by
    coordinate ascent over all thresholds that tell rows apart, and drawn back towards the common one by how few
    positive rows it has.

    Args:
        metric: F-beta of the rows, or another metric of labels that is cut at a threshold.
        target: (N, L) 0 or 1, or (N,) those of a binary task, which has one threshold.
        values: (N, L) probabilities.
    """
    from scipy.ndimage import gaussian_filter1d  # every trial imports this module, and few have labels

    is_there = np.asarray(target > 0.5)
    if metric.beta is None or target.ndim == 1:
        scores = np.array([metric.score_fn(target, (values > cut).astype(np.float64)) for cut in COMMON_GRID])
    else:
        scores = _scores_of_grid(is_there, values.astype(np.float64), metric.beta)
    smooth = gaussian_filter1d(scores, _SMOOTHING, mode="nearest")
    # Of thresholds that score alike, the middle one leaves the most room on both sides.
    common = float(np.median(COMMON_GRID[np.isclose(smooth, smooth.max(), rtol=0, atol=1e-12)]))
    num_positive = is_there.sum(axis=0)
    if metric.beta is None or target.ndim == 1 or (num_positive < _MIN_POSITIVES).all():
        return [common] * values.shape[1]
    own = _ascend(values.astype(np.float64), is_there, np.full(values.shape[1], common), metric.beta, num_positive)
    share = num_positive / (num_positive + _SHRINKAGE_ROWS)
    return [float(cut) for cut in common + share * (own - common)]


def scores_of_rows(target: Target, is_named: BoolArray, beta: float) -> Float64Array:
    """Return (N,) the F-beta of each row's labels."""
    is_there = np.asarray(target > 0.5)
    num_right, num_named = (is_there & is_named).sum(axis=1), is_named.sum(axis=1)
    return _Scores(target.shape[1], beta).of(num_right, num_named, is_there.sum(axis=1))


class _Scores:
    """F-beta of a row by three counts, of which there are few: looked up rather than computed for each row."""

    def __init__(self, num_labels: int, beta: float) -> None:
        counts = np.arange(num_labels + 1, dtype=np.float64)
        right, named, there = np.meshgrid(counts, counts, counts, indexing="ij", sparse=True)
        denominator = beta**2 * there + named
        table = np.ones((num_labels + 1,) * 3)
        np.divide((1 + beta**2) * right, denominator, out=table, where=np.broadcast_to(denominator > 0, table.shape))
        self._flat = table.ravel()
        self._of_named, self._of_right = num_labels + 1, (num_labels + 1) ** 2

    def steps(self, is_there: BoolArray) -> IntArray:
        """Return how far in the table a row moves by a label being named: further where it is there."""
        return np.array([self._of_named, self._of_named + self._of_right]).take(is_there.view(np.int8))

    def gains(self, places: IntArray, steps: IntArray) -> Float64Array:
        """Return what rows at places of the table gain by such steps."""
        return self.at(places + steps) - self.at(places)

    def places(self, num_right: IntArray, num_named: IntArray, num_there: IntArray) -> IntArray:
        """Return where in the table the rows' scores are."""
        return np.asarray(num_right * self._of_right + num_named * self._of_named + num_there, dtype=np.int64)

    def at(self, places: IntArray) -> Float64Array:
        """Return the scores at places of the table."""
        return self._flat.take(places)

    def of(self, num_right: IntArray, num_named: IntArray, num_there: IntArray) -> Float64Array:
        """Return (N,) the scores of rows with these counts of labels."""
        return self.at(self.places(num_right, num_named, num_there))


def _scores_of_grid(is_there: BoolArray, values: Float64Array, beta: float) -> Float64Array:
    """Return the score of each threshold of the grid, the same for all labels.

    A row's score changes where the threshold passes one of its labels: in their order, the most probable first, the
    changes tell all scores.
    """
    num_rows, num_labels = values.shape
    num_cuts = len(COMMON_GRID)
    # A label is named by the cuts below its value: by the first ``reach`` of them.
    reach = np.searchsorted(COMMON_GRID, values.ravel(), side="left").reshape(values.shape)
    order = np.sort((2 * reach + is_there).astype(np.uint8), axis=1)[:, ::-1]
    named = np.arange(num_labels + 1)
    right = np.zeros((num_rows, num_labels + 1), dtype=np.int64)
    np.cumsum(order & 1, axis=1, out=right[:, 1:])
    scores = _Scores(num_labels, beta)
    of_rows = scores.of(right, named, right[:, -1:])
    changes = np.bincount((order >> 1).ravel(), weights=np.diff(of_rows, axis=1).ravel(), minlength=num_cuts + 1)
    return np.asarray((of_rows[:, 0].sum() + changes[::-1].cumsum()[-2::-1]) / num_rows)


def _ascend(
    values: Float64Array, is_there: BoolArray, thresholds: Float64Array, beta: float, num_positive: IntArray
) -> Float64Array:
    """Improve one label's threshold at a time, exactly, until none improves."""
    scores = _Scores(values.shape[1], beta)
    thresholds = thresholds.copy()
    predicted = values > thresholds
    places = scores.places((predicted & is_there).sum(axis=1), predicted.sum(axis=1), is_there.sum(axis=1))
    labels = [
        _Label.of(values[:, label], is_there[:, label], scores) if num_positive[label] >= _MIN_POSITIVES else None
        for label in range(values.shape[1])
    ]
    for _ in range(_MAX_SWEEPS):
        changed = False
        for number, label in enumerate(labels):
            if label is None:
                continue
            is_named = label.values > thresholds[number]
            places -= label.steps * is_named
            cut = label.best_cut(scores.gains(places, label.steps))
            if abs(cut - thresholds[number]) > 1e-9:
                changed, thresholds[number] = True, cut
                is_named = label.values > cut
            places += label.steps * is_named
        if not changed:
            break
    return thresholds


@dataclass(frozen=True, kw_only=True, slots=True)
class _Label:
    """What of one label stays the same however the others are answered."""

    values: Float64Array
    """Probabilities (N,) of the label."""
    steps: IntArray
    """(N,) how far each row moves in the table by the label being named."""
    order: IntArray
    """(N,) the rows, the most probable first."""
    descending: Float64Array
    """(N,) the values in this order."""
    cuts: IntArray
    """Numbers of rows, the most probable ones, that a threshold tells from the others: not between equal values."""

    @staticmethod
    def of(values: Float64Array, is_there: BoolArray, scores: _Scores) -> _Label:
        values = np.ascontiguousarray(values)
        order = np.argsort(-values)
        descending = values[order]
        exists = np.concatenate([[True], descending[:-1] > descending[1:], [True]])
        steps = scores.steps(np.ascontiguousarray(is_there))
        return _Label(values=values, steps=steps, order=order, descending=descending, cuts=np.flatnonzero(exists))

    def best_cut(self, gains_N: Float64Array) -> float:
        """Return the threshold that is best while the other labels' answers stand.

        Rows are told apart one after the other, the most probable first: a running sum of what each gains by the label
        being named scores every threshold at once.

        Args:
            gains_N: what each row gains.
        """
        gains = np.zeros(len(gains_N) + 1)
        np.cumsum(gains_N.take(self.order), out=gains[1:])
        best = int(self.cuts[gains.take(self.cuts).argmax()])
        above = self.descending[best - 1] if best else 1.0
        below = self.descending[best] if best < len(self.descending) else 0.0
        return float((above + below) / 2)
