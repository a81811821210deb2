"""Precision, recall and F1 of classes and of labels: macro, the mean over them, and micro, over all answers at once.

Shape legend: N rows, C columns of a prediction, K classes or labels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics.classification import check_columns, class_numbers
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.types import BoolArray, Float64Array, IntArray, Target

Ratio = Callable[[IntArray, IntArray, IntArray], Float64Array]
"""Function from three counts, of what is right, there and predicted, each (n,), to (n,): NaN where it is undefined."""


def precision_of(num_right: IntArray, num_there: IntArray, num_predicted: IntArray) -> Float64Array:
    """Return the share of what is predicted that is right; 0 where nothing is predicted of what is there."""
    return _ratio(num_right, num_predicted, otherwise=np.where(num_there > 0, 0.0, np.nan))


def recall_of(num_right: IntArray, num_there: IntArray, num_predicted: IntArray) -> Float64Array:
    """Return the share of what is there that is predicted; undefined where nothing is there."""
    return _ratio(num_right, num_there, otherwise=np.full(num_right.shape, np.nan))


def f1_of(num_right: IntArray, num_there: IntArray, num_predicted: IntArray) -> Float64Array:
    """Return the harmonic mean of precision and recall; undefined where nothing is there nor predicted."""
    return _ratio(2 * num_right, num_there + num_predicted, otherwise=np.full(num_right.shape, np.nan))


def _ratio(numerator: IntArray, denominator: IntArray, *, otherwise: Float64Array) -> Float64Array:
    return np.asarray(np.divide(numerator, denominator, out=otherwise, where=denominator > 0))


def _of_positives(name: str, ratio: Ratio, target: Target, values: Float64Array) -> float:
    is_there, is_predicted = _answers(name, target, values)
    if target.ndim == 1:
        if values.shape[1] != 1:
            raise ConfigError(
                f"metric {name!r} is for binary tasks and for labels. Of several classes take macro_{name}, the mean "
                f"over them, or micro_{name}."
            )
        return _micro_of(ratio, is_there[:, 1:], is_predicted[:, 1:])
    of_rows = ratio(*_counts(is_there, is_predicted, axis=1))
    both_empty = ~(is_there.any(axis=1) | is_predicted.any(axis=1))
    return float(np.where(both_empty, 1.0, np.nan_to_num(of_rows)).mean())


def _macro(name: str, ratio: Ratio, target: Target, values: Float64Array) -> float:
    of_columns = ratio(*_counts(*_answers(name, target, values), axis=0))
    known = of_columns[~np.isnan(of_columns)]
    return float(known.mean()) if len(known) else 1.0


def _micro(name: str, ratio: Ratio, target: Target, values: Float64Array) -> float:
    return _micro_of(ratio, *_answers(name, target, values))


def _macro_recall(target: Target, values: Float64Array) -> float:
    return _macro("macro_recall", recall_of, target, values)


def _micro_of(ratio: Ratio, is_there: BoolArray, is_predicted: BoolArray) -> float:
    of_all = float(ratio(*(count.sum(keepdims=True) for count in _counts(is_there, is_predicted, axis=0)))[0])
    return float(not is_predicted.any()) if np.isnan(of_all) else of_all


def _counts(is_there: BoolArray, is_predicted: BoolArray, *, axis: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return how much is right, there and predicted, along an axis."""
    return (is_there & is_predicted).sum(axis=axis), is_there.sum(axis=axis), is_predicted.sum(axis=axis)


def _answers(name: str, target: Target, values: Float64Array) -> tuple[BoolArray, BoolArray]:
    """Return twice (N, K) whether a class or label is there, and whether it is predicted: above 0.5, or most probable.

    Raises:
        DataError: the shapes do not match, or a class number is out of range.
    """
    if target.ndim == 2:
        check_columns(name, target, values)
        return target > 0.5, values > 0.5
    numbers = class_numbers(name, target, values)
    predicted = (values[:, 0] > 0.5).astype(np.int64) if values.shape[1] == 1 else values.argmax(axis=1)
    classes = np.arange(max(values.shape[1], 2))
    return numbers[:, np.newaxis] == classes, predicted[:, np.newaxis] == classes


def _averaged(name: str, kind: str, ratio: Ratio) -> Metric:
    average = _macro if kind == "macro" else _micro
    score_fn = partial(average, f"{kind}_{name}", ratio)
    return Metric(name=f"{kind}_{name}", score_fn=score_fn, greater_is_better=True, decision="argmax")


PRECISION = Metric(
    name="precision",
    score_fn=partial(_of_positives, "precision", precision_of),
    greater_is_better=True,
    decision="label_thresholds",
)
"""Share of the rows of class 1 among those that are predicted so, binary; of labels the mean over the rows of the share
of right ones among those that are predicted. A row without labels of which none are predicted scores 1."""

RECALL = Metric(
    name="recall",
    score_fn=partial(_of_positives, "recall", recall_of),
    greater_is_better=True,
    decision="label_thresholds",
)
"""Share of the rows of class 1 that are predicted so, binary; of labels the mean over the rows of the share of theirs
that are predicted. A row without labels scores 1 where none are predicted, else 0."""

MACRO_RECALL = Metric(name="macro_recall", score_fn=_macro_recall, greater_is_better=True, decision="argmax")
"""Mean over the classes, or labels, that are there of the share of their rows that are predicted so."""

MACRO_PRECISION = _averaged("precision", "macro", precision_of)
"""Mean over the classes, or labels, that are there or predicted of the share of right rows among those predicted so."""

MACRO_F1 = _averaged("f1", "macro", f1_of)
"""Mean over the classes, or labels, that are there or predicted of the F1 of each, not the F1 of the means.

Source: Opitz and Burst, "Macro F1 and Macro F1", 2019 (the averaged F1).
"""

MICRO_PRECISION = _averaged("precision", "micro", precision_of)
"""Share of right answers among those of all rows and labels together; of classes that is the accuracy."""

MICRO_RECALL = _averaged("recall", "micro", recall_of)
"""Share of the labels of all rows together that are predicted; of classes that is the accuracy."""

MICRO_F1 = _averaged("f1", "micro", f1_of)
"""F1 of the answers of all rows and labels together; of classes that is the accuracy."""
