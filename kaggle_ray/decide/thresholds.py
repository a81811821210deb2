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
        target: (N, L) 0 or 1.
        values: (N, L) probabilities.
    """
    from scipy.ndimage import gaussian_filter1d  # every trial imports this module, and few have labels

    is_there = np.asarray(target > 0.5)
    scores = np.array([metric.score_fn(target, (values > cut).astype(np.float64)) for cut in COMMON_GRID])
    smooth = gaussian_filter1d(scores, _SMOOTHING, mode="nearest")
    # Of thresholds that score alike, the middle one leaves the most room on both sides.
    common = float(np.median(COMMON_GRID[np.isclose(smooth, smooth.max(), rtol=0, atol=1e-12)]))
    num_positive = is_there.sum(axis=0)
    if metric.beta is None or (num_positive < _MIN_POSITIVES).all():
        return [common] * values.shape[1]
    own = _ascend(values.astype(np.float64), is_there, np.full(values.shape[1], common), metric.beta, num_positive)
    share = num_positive / (num_positive + _SHRINKAGE_ROWS)
    return [float(cut) for cut in common + share * (own - common)]


def _ascend(
    values: Float64Array, is_there: BoolArray, thresholds: Float64Array, beta: float, num_positive: IntArray
) -> Float64Array:
    """Improve one label's threshold at a time, exactly, until none improves."""
    thresholds = thresholds.copy()
    predicted = values > thresholds
    num_right = (predicted & is_there).sum(axis=1)
    num_predicted, num_there = predicted.sum(axis=1), is_there.sum(axis=1)
    order = np.argsort(-values, axis=0, kind="stable")
    for _ in range(_MAX_SWEEPS):
        changed = False
        for label in np.flatnonzero(num_positive >= _MIN_POSITIVES).tolist():
            right = num_right - (predicted[:, label] & is_there[:, label])
            others = num_predicted - predicted[:, label]
            cut = _best_cut(values[:, label], is_there[:, label], order[:, label], right, others, num_there, beta)
            if abs(cut - thresholds[label]) > 1e-9:
                changed, thresholds[label] = True, cut
                predicted[:, label] = values[:, label] > cut
            num_right = right + (predicted[:, label] & is_there[:, label])
            num_predicted = others + predicted[:, label]
        if not changed:
            break
    return thresholds


def _best_cut(
    values_N: Float64Array,
    is_there: BoolArray,
    order: IntArray,
    right: IntArray,
    others: IntArray,
    num_there: IntArray,
    beta: float,
) -> float:
    """Return the threshold of one label that is best while the other labels' answers stand.

    Rows are told apart one after the other, the most probable first: a running sum of what each gains by the label
    being named scores every threshold at once.
    """
    without = _f_of(right, others, num_there, beta)
    named = _f_of(right + is_there, others + 1, num_there, beta)
    gains = np.concatenate([[0.0], np.cumsum((named - without)[order])])
    descending = values_N[order]
    # A cut between two equal values does not exist.
    exists = np.concatenate([[True], descending[:-1] > descending[1:], [True]])
    best = int(np.flatnonzero(exists)[gains[exists].argmax()])
    above = descending[best - 1] if best else 1.0
    below = descending[best] if best < len(descending) else 0.0
    return float((above + below) / 2)


def _f_of(num_right: IntArray, num_predicted: IntArray, num_there: IntArray, beta: float) -> Float64Array:
    denominator = beta**2 * num_there + num_predicted
    scores = np.divide((1 + beta**2) * num_right, denominator, out=np.ones(len(num_there)), where=denominator > 0)
    return np.asarray(scores)
