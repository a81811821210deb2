"""Which labels a row is given: those above a threshold each, or the set that is worth most in expectation.

Shape legend: N rows, L labels.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.decide.decision import Decision
from kaggle_ray.decide.expected_f import best_sets
from kaggle_ray.decide.thresholds import fit_thresholds, scores_of_rows
from kaggle_ray.metrics import Metric
from kaggle_ray.types import FloatArray, Target

_MIN_ROWS = 100
"""Rows that it takes to compare rules: of fewer the difference is chance."""


def fit_labels(metric: Metric, target: Target, values: FloatArray) -> Decision:
    """Return the rule for labels that is better on rows which it was not fitted to.

    Each half of the rows, whatever their order, is answered by the thresholds of the other half, and by the sets that
    are worth most, for which nothing is fitted. The sets are taken where they gain more than the standard error of the
    gain, the rows being paired; thresholds, fitted to all rows, otherwise: they need no probabilities that are right.

    Args:
        metric: F-beta of the rows, or another metric of labels that is cut at a threshold.
        target: (N, L) 0 or 1, or (N,) those of a binary task, which has one threshold.
        values: (N, L) probabilities.
    """
    if metric.beta is not None and target.ndim == 2 and len(values) >= _MIN_ROWS:
        is_first = np.empty(len(values), dtype=np.bool_)
        is_first[np.argsort(values.sum(axis=1), kind="stable")] = np.arange(len(values)) % 2 == 0
        of_thresholds = np.empty(len(values))
        for half in (is_first, ~is_first):
            thresholds = fit_thresholds(metric, target[~half], values[~half])
            of_thresholds[half] = scores_of_rows(target[half], values[half] > np.array(thresholds), metric.beta)
        gains = scores_of_rows(target, best_sets(values, metric.beta), metric.beta) - of_thresholds
        if gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)):
            return Decision(kind="expected_f", parameters={"beta": metric.beta})
    return Decision(kind="label_thresholds", parameters={"thresholds": fit_thresholds(metric, target, values)})
