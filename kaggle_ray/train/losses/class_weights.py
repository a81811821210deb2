"""What rare classes count for more by, from the training rows or as a user says.

Shape suffixes: Q questions (labels; otherwise there is one), K answers to each, in counts; C classes or labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head, PlacedHead
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.rows import Rows
from kaggle_ray.typed_json import is_number
from kaggle_ray.types import Float64Array, IntArray, JsonValue

CountClasses = Callable[[], Float64Array]
"""Returns (Q, K) how many samples, or pixels, gave each answer."""

_ROWS_AT_ONCE = 1024


def is_softmax(head: Head) -> bool:
    """Return whether a head's outputs exclude each other: their probabilities are a softmax, not sigmoids."""
    return head.task == "multiclass" or (head.task == "segmentation" and len(head.classes) > 1)


def count_classes(place: PlacedHead, target: Rows, rows: IntArray) -> Float64Array:
    """Return (Q, K) the answers in ``rows`` of ``target``: a few rows at a time, as masks are many pixels.

    Args:
        place: a head that is no regression.
        target: (N,), (N, T), or of masks (N, pixels) class numbers.
        rows: (n,) positions of the training rows.
    """
    head = place.head
    if head.task == "multilabel":
        present_Q = target[rows].reshape(len(rows), -1)[:, place.targets].astype(np.float64).sum(axis=0)
        return np.stack([len(rows) - present_Q, present_Q], axis=1)
    if head.soft:  # shares of a row are so many rows of each class
        shares = target[rows].reshape(len(rows), -1)[:, place.targets].astype(np.float64)
        of_classes_K = shares.sum(axis=0)
        return (of_classes_K if head.task == "multiclass" else np.append(len(rows) - of_classes_K, of_classes_K))[None]
    num_answers = max(2, len(head.classes))
    counts_K = np.zeros(num_answers)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = target[rows[start : start + _ROWS_AT_ONCE]]
        part = part.reshape(len(part), -1)
        answers = part if head.task == "segmentation" else part[:, place.targets]
        counts_K += np.bincount(answers.ravel().astype(np.int64), minlength=num_answers)
    return counts_K[np.newaxis]


def even_counts(place: PlacedHead) -> Float64Array:
    """Return (Q, K) ones: for checks before there are training rows."""
    if place.head.task == "multilabel":
        return np.ones((len(place.head.classes), 2))
    return np.ones((1, max(2, len(place.head.classes))))


def class_weights_of(given: JsonValue, head: Head, count: CountClasses) -> Tensor | None:
    """Return (C,) float32 weights of a mean of 1 over the training rows, or their pixels; None where none are given.

    Balanced ones are inverse to the classes' counts, as scikit-learn's are; a class without a row has 1.

    Args:
        given: None, "balanced", a list, or a dictionary by class.
        head: whose classes they are.
        count: the classes of the training rows.

    Raises:
        ConfigError: the head has no such weights, or they are not one positive number for each class.
    """
    if given is None:
        return None
    if head.task == "multilabel" or (head.task == "segmentation" and not is_softmax(head)):
        raise ConfigError("class_weights are for one of several classes. Use the loss bce with pos_weight.")
    counts_C = count()[0]
    if given == "balanced":
        present_C = counts_C > 0
        weights_C = np.where(present_C, counts_C.sum() / (present_C.sum() * np.maximum(counts_C, 1)), 1.0)
    else:
        weights_C = _by_class("class_weights", given, head.classes)
        weights_C *= counts_C.sum() / (weights_C @ counts_C)
    return torch.from_numpy(weights_C.astype(np.float32))


def pos_weight_of(given: JsonValue, head: Head, count: CountClasses) -> Tensor | None:
    """Return (Q,) float32 what a label's presence weighs, its absence weighing 1; None where nothing is given.

    Balanced is the absent over the present ones; 1 for a label that is always or never there.

    Args:
        given: None, "balanced", a number for all, a list, or a dictionary by label.
        head: whose labels they are; binary and masks of one class have one.
        count: the labels of the training rows.

    Raises:
        ConfigError: they are not one positive number for each label.
    """
    if given is None:
        return None
    if given == "balanced":
        counts_QK = count()
        varies_Q = counts_QK.min(axis=1) > 0
        weights_Q = np.where(varies_Q, counts_QK[:, 0] / np.maximum(counts_QK[:, 1], 1), 1.0)
    else:
        labels = head.classes[-1:] if head.task == "binary" else head.classes
        given = [given] * len(labels) if is_number(given) else given
        weights_Q = _by_class("pos_weight", given, labels)
    return torch.from_numpy(weights_Q.astype(np.float32))


def _by_class(name: str, given: JsonValue, classes: Sequence[str]) -> Float64Array:
    """Return (C,) the weights in the order of ``classes``."""
    if isinstance(given, Mapping):
        for key in given:
            if key not in classes:
                raise ConfigError(f"{name}: unknown class {key!r}{suggest(str(key), classes)}")
        given = [given.get(key, 1.0) for key in classes]
    items = given if isinstance(given, list | tuple) else ()
    weights = [item for item in items if is_number(item) and 0 < item < math.inf]
    if not len(weights) == len(items) == len(classes):
        raise ConfigError(
            f"{name}: expected 'balanced', or positive numbers for the {counted(len(classes), 'class')} "
            f"{', '.join(classes)} as a list or a dictionary, got {given!r}."
        )
    return np.array(weights, dtype=np.float64)
