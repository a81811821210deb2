"""Predictions that need no model: constant ones, which are to be beaten, perfect ones, which cannot be, and mixed ones.

Shape legend: N rows, T columns of a target, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head, PlacedHead, place_heads
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.rows import LazyRows, Rows, blocks
from kaggle_ray.types import FloatArray, Target


def constant_predictions(heads: Sequence[Head], target: Rows, num_rows: int) -> FloatArray:
    """Return (num_rows, C) the same row again and again: class frequencies, mean values, the mean mask.

    The rows of a single head share their memory, and are not to be written to.

    Args:
        heads: what is predicted.
        target: (N,) or (N, T) of the rows to learn from, N at least 1.
        num_rows: how many rows to predict.
    """
    parts = [_constant(place.head, target_of(place, target), num_rows) for place in place_heads(heads)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def perfect_predictions(head: Head, target: Target) -> FloatArray:
    """Return (N, C) what a model would say that knows the ``target`` (N,) or (N, T) of its one head."""
    columns = target.reshape(len(target), -1)
    if head.task == "multiclass" and not head.soft:
        return np.asarray(columns == np.arange(head.num_outputs), dtype=np.float32)
    if head.task == "segmentation" and head.num_outputs > 1:
        columns = np.concatenate([columns == number for number in range(head.num_outputs)], axis=1)
    return np.asarray(columns, dtype=np.float32)


def mixed_predictions(heads: Sequence[Head], target: Rows) -> FloatArray:
    """Return (N, C) each row's perfect prediction mixed with that of another row, in shares by chance.

    They differ from row to row as a model's do, and whatever scores perfect predictions takes them: they lie between.
    """
    rng = np.random.default_rng(0)
    parts = [perfect_predictions(place.head, target_of(place, target)[:]) for place in place_heads(heads)]
    perfect, share = np.concatenate(parts, axis=1), rng.random((len(target), 1))
    return np.asarray(share * perfect + (1 - share) * perfect[rng.permutation(len(target))], dtype=np.float32)


def check_directions(heads: Sequence[Head], target: Rows) -> None:
    """Check that perfect predictions beat the constant ones by each head's metric.

    A wrongly declared ``greater_is_better`` shows here, before a run keeps its worst models.

    Raises:
        ConfigError: they do not.
        DataError: they cannot, since all rows have the same target.
    """
    for place in place_heads(heads):
        head, of_head = place.head, target_of(place, target)
        best = head.metric.score(of_head, _perfect(head, of_head))
        constant = head.metric.score(of_head, _constant(head, of_head, len(of_head)))
        if not head.metric.is_better(best, constant):
            if not _varies(of_head):
                raise DataError(
                    f"head {head.name!r}: all {counted(len(of_head), 'training row has', 'training rows have')} the "
                    f"same target, {_first(of_head)}: "
                    f"there is nothing to learn. Check how read() makes it."
                )
            raise ConfigError(
                f"metric {head.metric.name!r} with greater_is_better={head.metric.greater_is_better}: expected perfect "
                f"predictions to beat constant ones, got the scores {best:.6g} and {constant:.6g}. "
                f"Declare greater_is_better={not head.metric.greater_is_better}, or check score_fn and the labels."
            )


def _varies(target: Rows) -> bool:
    """Return whether two rows differ; of many, some are in memory at a time."""
    return any((target[block] != target[:1]).any() for block in blocks(target))


def _first(target: Rows) -> str:
    """Return the first row's target in a few words."""
    values = target[:1].ravel()
    return " ".join(f"{value:g}" for value in values[:10]) + (" ..." if len(values) > 10 else "")


def target_of(place: PlacedHead, target: Rows) -> Rows:
    """Return the target of one head: (N,) where it has one column, class numbers as integers."""
    is_alone = place.head.has_columns and target.shape[1:] == (place.head.num_target_columns,)
    if len(target.shape) == 1 or place.head.task == "segmentation" or is_alone:
        return target
    columns: Target = target[:][:, place.targets]
    if place.head.task != "regression" and not place.head.soft:
        columns = columns.astype(np.int64)
    return columns if place.head.has_columns else columns[:, 0]


def _constant(head: Head, target: Rows, num_rows: int) -> FloatArray:
    """Return (num_rows, C) the mean of a head's perfect predictions; of many of them, some are in memory at a time."""
    perfect = _perfect(head, target)
    total = np.zeros(perfect.shape[1])
    for block in blocks(perfect):
        total += perfect[block].sum(axis=0, dtype=np.float64)
    row = (total / len(perfect)).astype(np.float32)
    return np.broadcast_to(row, (num_rows, len(row)))


def _perfect(head: Head, target: Rows) -> LazyRows:
    num_columns = perfect_predictions(head, target[:1]).shape[1]
    return LazyRows((len(target), num_columns), lambda rows: perfect_predictions(head, target[rows]))
