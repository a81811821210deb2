"""Thresholds of labels for the mean F-beta of the rows.

Shape legend: N rows, L labels.
"""

from __future__ import annotations

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
        return np.where(is_there, self._of_named + self._of_right, self._of_named)

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
    """Return the score of each threshold of the grid, the same for all labels: all counts at once."""
    num_rows, num_labels = values.shape
    num_cuts = len(COMMON_GRID)
    # A label is named by the cuts below its value: by the first ``reach`` of them.
    reach = np.searchsorted(COMMON_GRID, values, side="left") + np.arange(num_rows)[:, np.newaxis] * (num_cuts + 1)
    scores = _Scores(num_labels, beta)
    steps = np.bincount(reach.ravel(), weights=scores.steps(is_there).ravel(), minlength=num_rows * (num_cuts + 1))
    of_cuts = steps.reshape(num_rows, -1)[:, ::-1].cumsum(axis=1)[:, -2::-1]
    places = (of_cuts + is_there.sum(axis=1)[:, np.newaxis]).astype(np.int64)
    return np.asarray(scores.at(places).mean(axis=0))


def _ascend(
    values: Float64Array, is_there: BoolArray, thresholds: Float64Array, beta: float, num_positive: IntArray
) -> Float64Array:
    """Improve one label's threshold at a time, exactly, until none improves."""
    scores = _Scores(values.shape[1], beta)
    thresholds = thresholds.copy()
    predicted = values > thresholds
    places = scores.places((predicted & is_there).sum(axis=1), predicted.sum(axis=1), is_there.sum(axis=1))
    orders = {label: np.argsort(-values[:, label]) for label in np.flatnonzero(num_positive >= _MIN_POSITIVES).tolist()}
    for _ in range(_MAX_SWEEPS):
        changed = False
        for label, order in orders.items():
            step = scores.steps(is_there[:, label])
            places -= step * predicted[:, label]
            cut = _best_cut(values[order, label], (scores.at(places + step) - scores.at(places))[order])
            if abs(cut - thresholds[label]) > 1e-9:
                changed, thresholds[label] = True, cut
                predicted[:, label] = values[:, label] > cut
            places += step * predicted[:, label]
        if not changed:
            break
    return thresholds


def _best_cut(descending: Float64Array, gains_N: Float64Array) -> float:
    """Return the threshold of one label that is best while the other labels' answers stand.

    Rows are told apart one after the other, the most probable first: a running sum of what each gains by the label
    being named scores every threshold at once.

    Args:
        descending: (N,) the label's values, in descending order.
        gains_N: what each of these rows gains by the label.
    """
    gains = np.concatenate([[0.0], np.cumsum(gains_N)])
    # A cut between two equal values does not exist.
    exists = np.concatenate([[True], descending[:-1] > descending[1:], [True]])
    best = int(np.flatnonzero(exists)[gains[exists].argmax()])
    above = descending[best - 1] if best else 1.0
    below = descending[best] if best < len(descending) else 0.0
    return float((above + below) / 2)
