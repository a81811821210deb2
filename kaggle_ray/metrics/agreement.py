"""Metrics of how far the classes that are predicted agree with the true ones, all classes alike.

Shape legend: N rows, C columns of a prediction, K classes.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from kaggle_ray.metrics.classification import check_columns, class_numbers, confusion_matrix
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.types import Float64Array, IntArray, Target


def _matrix(name: str, target: Target, values: Float64Array) -> IntArray:
    """Return (K, K) counts: rows are the truth, columns the answers. Labels are counted together, as two classes."""
    if target.ndim == 2:
        check_columns(name, target, values)
        target, values = (target > 0.5).astype(np.int64).ravel(), values.reshape(-1, 1)
    numbers = class_numbers(name, target, values)
    return confusion_matrix(numbers, values, max(values.shape[1], 2))


def _mcc(target: Target, values: Float64Array) -> float:
    counts = _matrix("mcc", target, values).astype(np.float64)
    num_rows, num_right = counts.sum(), np.trace(counts)
    num_there, num_predicted = counts.sum(axis=1), counts.sum(axis=0)
    spread = (num_rows**2 - num_predicted @ num_predicted) * (num_rows**2 - num_there @ num_there)
    return float((num_right * num_rows - num_there @ num_predicted) / math.sqrt(spread)) if spread else 0.0


def _balanced_accuracy(target: Target, values: Float64Array) -> float:
    numbers = class_numbers("balanced_accuracy", target, values)
    counts = confusion_matrix(numbers, values, max(values.shape[1], 2))
    is_there = counts.sum(axis=1) > 0
    return float((np.diag(counts)[is_there] / counts.sum(axis=1)[is_there]).mean())


def _kappa(target: Target, values: Float64Array) -> float:
    counts = _matrix("kappa", target, values).astype(np.float64)
    num_rows = counts.sum()
    by_chance = float(counts.sum(axis=1) @ counts.sum(axis=0)) / num_rows**2
    return float((np.trace(counts) / num_rows - by_chance) / (1 - by_chance)) if by_chance < 1 else 1.0


def _top_k_accuracy(k: int, target: Target, values: Float64Array) -> float:
    ranks = _ranks(f"top_{k}_accuracy", target, values)
    return float(np.mean(ranks <= k))


def _map_at_k(k: int, target: Target, values: Float64Array) -> float:
    if target.ndim == 2:
        return _map_of_labels(k, target, values)
    ranks = _ranks(f"map_at_{k}", target, values)
    return float(np.mean(np.where(ranks <= k, 1 / ranks, 0.0)))


def _map_of_labels(k: int, target: Target, values: Float64Array) -> float:
    """Return the mean over the rows of the precision at each right one of the k first labels; see ``map_at_k``."""
    check_columns(f"map_at_{k}", target, values)
    first_NK = np.argsort(-values, axis=1, kind="stable")[:, :k]
    is_right_NK = np.take_along_axis(target > 0.5, first_NK, axis=1)
    precision_NK = np.cumsum(is_right_NK, axis=1) / np.arange(1, first_NK.shape[1] + 1)
    num_there = np.minimum((target > 0.5).sum(axis=1), k)
    found = np.where(is_right_NK, precision_NK, 0.0).sum(axis=1)
    return float(np.divide(found, num_there, out=np.zeros(len(target)), where=num_there > 0).mean())


def _ranks(name: str, target: Target, values: Float64Array) -> IntArray:
    """Return (N,) the place, 1 for the first, of each row's class among all; of equal ones the lower class is first."""
    numbers = class_numbers(name, target, values)
    both_NC = np.column_stack([1 - values[:, 0], values[:, 0]]) if values.shape[1] == 1 else values
    own = np.take_along_axis(both_NC, numbers[:, np.newaxis], axis=1)
    is_lower_class = np.arange(both_NC.shape[1]) < numbers[:, np.newaxis]
    is_before = (both_NC > own) | ((both_NC == own) & is_lower_class)
    return np.asarray(1 + is_before.sum(axis=1))


def top_k_accuracy(k: int) -> Metric:
    """Return the share of the rows whose class is among the ``k`` most probable.

    >>> import numpy as np
    >>> from kaggle_ray.metrics import top_k_accuracy
    >>> top_k_accuracy(2).score(np.array([0, 1, 2]), np.array([[0.5, 0.3, 0.2]] * 3))
    0.6666666666666666
    """
    return Metric(name=f"top_{k}_accuracy", score_fn=partial(_top_k_accuracy, k), greater_is_better=True)


def map_at_k(k: int) -> Metric:
    """Return the mean over the rows of their average precision among the ``k`` most probable classes, or labels.

    Of one true class that is 1 / its place, 0 where it is not among them. Of several labels it is the mean over the
    true ones, at most k of them, of the precision at each that is found; a row without labels scores 0.

    >>> import numpy as np
    >>> from kaggle_ray.metrics import map_at_k
    >>> map_at_k(2).score(np.array([0, 1, 2]), np.array([[0.5, 0.3, 0.2]] * 3))
    0.5

    Source: the page "Evaluation" of Kaggle's humpback-whale-identification (k = 5).
    """
    return Metric(name=f"map_at_{k}", score_fn=partial(_map_at_k, k), greater_is_better=True)


BALANCED_ACCURACY = Metric(
    name="balanced_accuracy", score_fn=_balanced_accuracy, greater_is_better=True, decision="argmax"
)
"""Mean over the classes that are there of the share of their rows that are predicted so: macro recall of classes."""

MCC = Metric(name="mcc", score_fn=_mcc, greater_is_better=True, decision="argmax")
"""Matthews' correlation of the predicted with the true classes, or of all labels together; 0 where either has only one.

Source: Gorodkin, Computational Biology and Chemistry 2004 (of several classes).
"""

KAPPA = Metric(name="kappa", score_fn=_kappa, greater_is_better=True, decision="argmax")
"""Agreement of classes beyond chance, every disagreement alike; 1 where all rows are and are said to be of one class.

Source: Cohen, Educational and Psychological Measurement 1960.
"""
