"""How a competition scores predictions.

Shape legend: N rows, C columns of a prediction. Binary: C = 1, P(target == 1), target in {0, 1}. Multi-class: C is the
number of classes, target in 0..C-1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kaggle_ray.errors import ConfigError, DataError, suggest
from kaggle_ray.types import Float64Array, FloatArray, IntArray

_LOG_LOSS_CLIP = 1e-15


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number for a set of predictions, and which way is up."""

    name: str
    score_fn: Callable[[IntArray, Float64Array], float]
    """Scores target (N,) and values (N, C), widened to float64, pooled over all rows."""
    greater_is_better: bool

    def score(self, target: IntArray, values: FloatArray) -> float:
        """Return the score of ``values`` (N, C) against ``target`` (N,), computed in float64.

        Raises:
            DataError: the shapes do not match, there are no rows, a value is not finite or a label out of range.
            ConfigError: ``score_fn`` returned NaN or an infinity.
        """
        self._check(target, values)
        score = float(self.score_fn(target, values.astype(np.float64)))
        if not math.isfinite(score):
            raise ConfigError(f"metric {self.name!r}: expected a finite score, got {score}. Check its score_fn.")
        return score

    def is_better(self, a: float, b: float) -> bool:
        """Return whether the score ``a`` is strictly better than ``b``."""
        return a > b if self.greater_is_better else a < b

    def _check(self, target: IntArray, values: FloatArray) -> None:
        if target.ndim != 1 or values.ndim != 2 or len(target) != len(values) or not values.size:
            raise DataError(
                f"metric {self.name!r}: expected target (N,) and values (N, C) with N and C at least 1, "
                f"got {target.shape} and {values.shape}."
            )
        if not (finite := np.isfinite(values)).all():
            row, column = (int(position) for position in np.argwhere(~finite)[0])
            raise DataError(
                f"metric {self.name!r}: expected finite values, got {values[row, column]} in row {row}, "
                f"column {column}. Look for a model that diverged."
            )
        highest = max(values.shape[1] - 1, 1)
        if target.min() < 0 or target.max() > highest:
            raise DataError(
                f"metric {self.name!r}: expected labels 0..{highest} for values with {values.shape[1]} columns, "
                f"got {target.min()}..{target.max()}."
            )


def _accuracy(target: IntArray, values: Float64Array) -> float:
    predicted = values[:, 0] > 0.5 if values.shape[1] == 1 else values.argmax(axis=1)
    return float(np.mean(predicted == target))


def _log_loss(target: IntArray, values: Float64Array) -> float:
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


def _auc(target: IntArray, values: Float64Array) -> float:
    if values.shape[1] != 1:
        raise ConfigError(f"metric 'auc' is for binary tasks: expected 1 column, got {values.shape[1]}.")
    positive = target == 1
    num_positive = int(positive.sum())
    num_negative = len(target) - num_positive
    if not num_positive or not num_negative:
        raise DataError(
            f"metric 'auc': expected rows of both classes, got {num_negative} of class 0 and {num_positive} of class 1."
        )
    _, position, counts = np.unique(values[:, 0], return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_ranks[position][positive].sum())
    return (rank_sum - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)


ACCURACY = Metric(name="accuracy", score_fn=_accuracy, greater_is_better=True)
"""Share of rows whose most probable class is right; binary above 0.5 is class 1, a tie goes to the lower class."""

LOG_LOSS = Metric(name="log_loss", score_fn=_log_loss, greater_is_better=False)
"""Mean of -ln P(target), P clipped to 1e-15..1 - 1e-15; multi-class rows are divided by their sum first.

Source: the page "Evaluation" of Kaggle's leaf-classification.
"""

AUC = Metric(name="auc", score_fn=_auc, greater_is_better=True)
"""Area under the ROC curve, binary only: P(a row of class 1 outranks one of class 0), ties counting half.

Source: Hanley and McNeil, Radiology 1982 (the rank-sum form).
"""

METRICS: dict[str, Metric] = {metric.name: metric for metric in (ACCURACY, LOG_LOSS, AUC)}


def metric_by_name(name: str) -> Metric:
    """Return a metric of ``METRICS``.

    Raises:
        ConfigError: there is none of that name; the nearest is suggested.
    """
    if name not in METRICS:
        raise ConfigError(f"there is no metric {name!r}{suggest(name, METRICS)}")
    return METRICS[name]


def constant_predictions(target: IntArray, num_columns: int, num_rows: int) -> FloatArray:
    """Return (num_rows, C) the class frequencies of ``target`` (N,) in every row: the baseline to beat.

    Args:
        target: (N,) labels, N at least 1.
        num_columns: C; 1 for binary.
        num_rows: how many rows to predict.
    """
    frequencies = np.bincount(target, minlength=max(num_columns, 2)) / len(target)
    row = frequencies[1:] if num_columns == 1 else frequencies
    return np.tile(row.astype(np.float32), (num_rows, 1))


def check_direction(metric: Metric, target: IntArray, num_columns: int) -> None:
    """Raise ConfigError where perfect predictions of ``target`` (N,) do not beat its class frequencies.

    A wrongly declared ``greater_is_better`` shows here, before a run keeps its worst models.
    """
    perfect = target[:, np.newaxis] == (np.arange(num_columns) if num_columns > 1 else np.ones(1))
    best = metric.score(target, perfect.astype(np.float32))
    baseline = metric.score(target, constant_predictions(target, num_columns, len(target)))
    if not metric.is_better(best, baseline):
        raise ConfigError(
            f"metric {metric.name!r} with greater_is_better={metric.greater_is_better}: expected perfect predictions "
            f"to beat the class frequencies, got the scores {best:.6g} and {baseline:.6g}. "
            f"Declare greater_is_better={not metric.greater_is_better}, or check score_fn and the labels."
        )


def confusion_matrix(target: IntArray, values: FloatArray, num_classes: int) -> IntArray:
    """Return (num_classes, num_classes) counts: rows are the truth, columns the most probable class.

    Args:
        target: (N,) 0..num_classes-1.
        values: (N, C); for binary C is 1, and above 0.5 is class 1.
        num_classes: 2 for binary.
    """
    predicted = (values[:, 0] > 0.5).astype(np.int64) if values.shape[1] == 1 else values.argmax(axis=1)
    counts = np.bincount(target * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)
