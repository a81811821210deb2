"""Metrics of probabilities and ranks beside log loss and AUC, for several classes and for labels.

Shape legend: N rows, C columns of a prediction, K classes or labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.metrics.classification import AUC, check_columns, class_numbers
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.types import BoolArray, Float64Array, Target


def _one_against_the_rest(name: str, target: Target, values: Float64Array) -> tuple[BoolArray, Float64Array]:
    """Return (N, K) whether a class or label is there, and its probability. A binary task has one: class 1."""
    if target.ndim == 2:
        check_columns(name, target, values)
        return target > 0.5, values
    numbers = class_numbers(name, target, values)
    classes = np.array([1]) if values.shape[1] == 1 else np.arange(values.shape[1])
    return numbers[:, np.newaxis] == classes, values


def _mean_over_known(
    name: str, target: Target, values: Float64Array, score: Callable[[BoolArray, Float64Array], float]
) -> float:
    """Return the mean of ``score`` over the classes or labels of which there are rows with and without."""
    is_there_NK, values_NK = _one_against_the_rest(name, target, values)
    known = np.flatnonzero(is_there_NK.any(axis=0) & ~is_there_NK.all(axis=0))
    if not len(known):
        raise DataError(f"metric {name!r}: expected a class or label that some rows have and others have not.")
    return float(np.mean([score(is_there_NK[:, column], values_NK[:, column]) for column in known]))


def _auc_ovr(target: Target, values: Float64Array) -> float:
    def auc(is_there_N: BoolArray, values_N: Float64Array) -> float:
        return AUC.score_fn(is_there_N.astype(np.int64), values_N[:, np.newaxis])

    return _mean_over_known("auc_ovr", target, values, auc)


def _average_precision(target: Target, values: Float64Array) -> float:
    from sklearn.metrics import average_precision_score  # takes longer than torch, and every trial imports this module

    def of_one(is_there_N: BoolArray, values_N: Float64Array) -> float:
        return float(average_precision_score(is_there_N, values_N))

    return _mean_over_known("average_precision", target, values, of_one)


def _brier(target: Target, values: Float64Array) -> float:
    is_there_NK, values_NK = _one_against_the_rest("brier", target, values)
    squares_NK = (is_there_NK - values_NK) ** 2
    is_of_classes = target.ndim == 1 and values.shape[1] > 1
    return float(squares_NK.sum(axis=1).mean() if is_of_classes else squares_NK.mean())


AUC_OVR = Metric(name="auc_ovr", score_fn=_auc_ovr, greater_is_better=True)
"""Mean of the AUC of each class against the others, or of each label, of those that some rows have and others have not.

Source: Provost and Domingos, 2000 (one against the rest).
"""

AVERAGE_PRECISION = Metric(name="average_precision", score_fn=_average_precision, greater_is_better=True)
"""Mean over the classes against the others, or the labels, of the area under the steps of precision over recall; binary
that of class 1. Those count that some rows have and others have not."""

BRIER = Metric(name="brier", score_fn=_brier, greater_is_better=False)
"""Mean squared error of the probabilities: of classes the sum over them, binary that of class 1, of labels the mean.

Source: Brier, Monthly Weather Review 1950.
"""
