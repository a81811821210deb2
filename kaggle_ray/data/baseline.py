"""What a competition's targets say without a model: the constant answer, and whether its metrics point up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaggle_ray.data.head import Head, PlacedHead, place_heads
from kaggle_ray.metrics import baseline_predictions, check_direction
from kaggle_ray.rows import Rows
from kaggle_ray.types import FloatArray, Target


def constant_answer(heads: Sequence[Head], target: Rows, num_rows: int) -> FloatArray:
    """Return (num_rows, C) the same row again and again: class frequencies, mean values, the mean mask.

    Args:
        heads: what is predicted.
        target: (N,) or (N, T) of the rows to learn from, N at least 1.
        num_rows: how many rows to predict.
    """
    parts = [
        baseline_predictions(place.head.task, target_of(place, target), place.head.num_outputs, num_rows)
        for place in place_heads(heads)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def check_directions(heads: Sequence[Head], target: Rows) -> None:
    """Raise ConfigError where perfect predictions do not beat the constant answer by a head's metric.

    A wrongly declared ``greater_is_better`` shows here, before a run keeps its worst models.
    """
    for place in place_heads(heads):
        check_direction(place.head.metric, place.head.task, target_of(place, target), place.head.num_outputs)


def target_of(place: PlacedHead, target: Rows) -> Rows:
    """Return the target of one head: (N,) where it has one column, class numbers as integers."""
    if len(target.shape) == 1 or place.head.task == "segmentation":
        return target
    columns: Target = target[:][:, place.targets]
    if place.head.task != "regression":
        columns = columns.astype(np.int64)
    return columns if place.head.task == "multilabel" else columns[:, 0]
