"""Metrics of one class for each row, and of probabilities.

Shape legend: N rows, C columns of a prediction. Binary: C = 1, P(target == 1), target in {0, 1}. Multi-class: C is the
number of classes, target in 0..C-1. Multi-label: target and values are (N, labels). All are pooled over the rows.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.types import Float64Array, FloatArray, IntArray, Target

_LOG_LOSS_CLIP = 1e-15


def _accuracy(target: Target, values: Float64Array) -> float:
    target = class_numbers("accuracy", target, values)
    predicted = values[:, 0] > 0.5 if values.shape[1] == 1 else values.argmax(axis=1)
    return float(np.mean(predicted == target))


def _log_loss(target: Target, values: Float64Array) -> float:
    if target.ndim == 2:
        check_columns("log_loss", target, values)
        return float(np.mean([_log_loss(target[:, label], values[:, [label]]) for label in range(target.shape[1])]))
    target, values = class_numbers("log_loss", target, values), values.astype(np.float64, copy=False)
    if values.shape[1] == 1:
        positive = _clip(values[:, 0])
        of_target = np.where(target == 1, positive, 1.0 - positive)
    else:
        row_sums = values.sum(axis=1)
        of_target = values[np.arange(len(target)), target]
        # A row without any probability has nothing to renormalise; it pays the full price of the clip.
        of_target = _clip(np.divide(of_target, row_sums, out=np.zeros_like(of_target), where=row_sums > 0))
    return -float(np.log(of_target).mean())


def _clip(probabilities: Float64Array) -> Float64Array:
    return np.clip(probabilities, _LOG_LOSS_CLIP, 1.0 - _LOG_LOSS_CLIP)


def _auc(target: Target, values: Float64Array) -> float:
    if target.ndim == 2:
        check_columns("auc", target, values)
        return float(np.mean([_auc(target[:, label], values[:, [label]]) for label in range(target.shape[1])]))
    if values.shape[1] != 1:
        raise ConfigError(f"metric 'auc' is for binary tasks: expected 1 column, got {values.shape[1]}.")
    positive = target == 1
    num_positive = int(positive.sum())
    num_negative = len(target) - num_positive
    if not num_positive or not num_negative:
        raise DataError(
            f"metric 'auc': expected rows of both classes, got {num_negative} of class 0 and {num_positive} of class 1."
        )
    column = np.ascontiguousarray(values[:, 0])
    above, below = np.sort(column[positive]), np.sort(column[~positive])
    lower = np.searchsorted(below, above, side="left")
    num_lower = num_not_higher = int(lower.sum())
    if (below.take(lower, mode="clip") == above).any():  # few predictions have equal ones
        num_not_higher = int(np.searchsorted(below, above, side="right").sum())
    return (num_lower + num_not_higher) / 2 / (num_positive * num_negative)


def class_numbers(name: str, target: Target, values: Float64Array) -> IntArray:
    """Return (N,) the target as class numbers. Raise DataError where it is not one for each row of values."""
    if target.ndim != 1:
        raise DataError(
            f"metric {name!r}: expected target (N,) and values (N, C), got {target.shape} and {values.shape}."
        )
    highest = max(values.shape[1] - 1, 1)
    numbers = target.astype(np.int64)
    if numbers.min() < 0 or numbers.max() > highest or (numbers != target).any():
        raise DataError(
            f"metric {name!r}: expected labels 0..{highest} for values with {counted(values.shape[1], 'column')}, "
            f"got {target.min()}..{target.max()}."
        )
    return numbers


def check_columns(name: str, target: Target, values: Float64Array) -> None:
    """Raise DataError where target and values do not have the same columns."""
    if target.shape != values.shape:
        raise DataError(
            f"metric {name!r}: expected target and values of one shape (N, labels), "
            f"got {target.shape} and {values.shape}."
        )


ACCURACY = Metric(name="accuracy", score_fn=_accuracy, greater_is_better=True, decision="argmax")
"""Share of rows whose most probable class is right; binary above 0.5 is class 1, a tie goes to the lower class."""

LOG_LOSS = Metric(name="log_loss", score_fn=_log_loss, greater_is_better=False)
"""Mean of -ln P(target), P clipped to 1e-15..1 - 1e-15; multi-class rows are divided by their sum first, multi-label is
the mean over the labels.

Source: the page "Evaluation" of Kaggle's leaf-classification.
"""

AUC = Metric(name="auc", score_fn=_auc, greater_is_better=True)
"""Area under the ROC curve, binary, or the mean over the labels of multi-label: P(a row of class 1 outranks one of
class 0), ties counting half.

Source: Hanley and McNeil, Radiology 1982 (the rank-sum form).
"""


def confusion_matrix(target: Target, values: FloatArray | Float64Array, num_classes: int) -> IntArray:
    """Return (num_classes, num_classes) counts: rows are the truth, columns the most probable class.

    Args:
        target: (N,) 0..num_classes-1.
        values: (N, C); for binary C is 1, and above 0.5 is class 1.
        num_classes: 2 for binary.
    """
    predicted = (values[:, 0] > 0.5).astype(np.int64) if values.shape[1] == 1 else values.argmax(axis=1)
    counts = np.bincount(target.astype(np.int64) * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)
