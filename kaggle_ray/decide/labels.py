"""Which labels a row is given: those above a threshold each, or the set that is worth most in expectation.

Shape legend: N rows, L labels.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.decide.decision import Decision
from kaggle_ray.decide.label_sets import fit_label_sets
from kaggle_ray.decide.thresholds import fit_thresholds, scores_of_rows
from kaggle_ray.metrics import Metric
from kaggle_ray.types import Float64Array, FloatArray, JsonValue, Target

_MIN_ROWS = 50
"""Rows that it takes to compare rules: of fewer the difference is chance."""


def fit_labels(metric: Metric, target: Target, values: FloatArray) -> Decision:
    """Return the rule for labels: the sets that are worth most, or thresholds where these are better.

    Each half of the rows, whatever their order, is answered by the sets of the other half and by its thresholds, which
    are taken where they gain more than the standard error of the gain, the rows being paired: they need no
    probabilities that are right. What is taken is fitted to all rows.

    Args:
        metric: F-beta of the rows, or another metric of labels that is cut at a threshold.
        target: (N, L) 0 or 1, or (N,) those of a binary task, which has one threshold.
        values: (N, L) probabilities.
    """
    beta = metric.beta
    if beta is not None and target.ndim == 2 and len(values) >= _MIN_ROWS:
        gains = _gains_of_thresholds(metric, beta, target, values)
        if gains.mean() <= gains.std(ddof=1) / np.sqrt(len(gains)):
            sets = fit_label_sets(target, values)
            parameters: dict[str, JsonValue] = {"beta": beta, "scale": sets.scale, "weights": list(sets.weights)}
            return Decision(kind="expected_f", parameters=parameters)
    return Decision(kind="label_thresholds", parameters={"thresholds": fit_thresholds(metric, target, values)})


def _gains_of_thresholds(metric: Metric, beta: float, target: Target, values: FloatArray) -> Float64Array:
    """Return (N,) what each row gains by thresholds over sets, both fitted to the half that it is not of."""
    is_first = np.empty(len(values), dtype=np.bool_)
    is_first[np.argsort(values.sum(axis=1), kind="stable")] = np.arange(len(values)) % 2 == 0
    gains = np.empty(len(values))
    for half in (is_first, ~is_first):
        is_above = values[half] > np.array(fit_thresholds(metric, target[~half], values[~half]))
        in_best_set = fit_label_sets(target[~half], values[~half]).best(values[half], beta)
        gains[half] = scores_of_rows(target[half], is_above, beta) - scores_of_rows(target[half], in_best_set, beta)
    return gains
