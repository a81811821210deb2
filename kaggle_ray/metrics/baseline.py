"""Predictions that need no model: the constant ones, which are to be beaten, and the perfect ones, which cannot be.

Shape legend: N rows, C columns of a prediction, K outputs: columns, or of a pixel, its classes.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.rows import LazyRows, Rows, blocks
from kaggle_ray.types import FloatArray, Target, Task


def baseline_predictions(task: Task, target: Rows, num_outputs: int, num_rows: int) -> FloatArray:
    """Return (num_rows, C) the same row again and again: class frequencies, the mean value, the mean mask.

    The rows share their memory, and are not to be written to.

    Args:
        task: of the head.
        target: (N,) or (N, T) of one head, N at least 1.
        num_outputs: K.
        num_rows: how many rows to predict.
    """
    perfect = _perfect_rows(task, target, num_outputs)
    total = np.zeros(perfect.shape[1])
    for block in blocks(perfect):
        total += perfect[block].sum(axis=0, dtype=np.float64)
    row = (total / len(perfect)).astype(np.float32)
    return np.broadcast_to(row, (num_rows, len(row)))


def perfect_predictions(task: Task, target: Target, num_outputs: int) -> FloatArray:
    """Return (N, C) what a model would say that knows ``target`` (N,) or (N, T) of one head."""
    columns = target.reshape(len(target), -1)
    if task == "multiclass":
        return np.asarray(columns == np.arange(num_outputs), dtype=np.float32)
    if task == "segmentation" and num_outputs > 1:
        columns = np.concatenate([columns == number for number in range(num_outputs)], axis=1)
    return np.asarray(columns, dtype=np.float32)


def _perfect_rows(task: Task, target: Rows, num_outputs: int) -> LazyRows:
    num_columns = perfect_predictions(task, target[:1], num_outputs).shape[1]
    return LazyRows((len(target), num_columns), lambda rows: perfect_predictions(task, target[rows], num_outputs))


def check_direction(metric: Metric, task: Task, target: Rows, num_outputs: int) -> None:
    """Raise ConfigError where perfect predictions of ``target`` do not beat its constant ones.

    A wrongly declared ``greater_is_better`` shows here, before a run keeps its worst models.
    """
    best = metric.score(target, _perfect_rows(task, target, num_outputs))
    baseline = metric.score(target, baseline_predictions(task, target, num_outputs, len(target)))
    if not metric.is_better(best, baseline):
        raise ConfigError(
            f"metric {metric.name!r} with greater_is_better={metric.greater_is_better}: expected perfect predictions "
            f"to beat the class frequencies, got the scores {best:.6g} and {baseline:.6g}. "
            f"Declare greater_is_better={not metric.greater_is_better}, or check score_fn and the labels."
        )
