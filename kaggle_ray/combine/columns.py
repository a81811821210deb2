"""What the columns of a prediction are, as far as its target and its values tell: which means make sense of them.

Shape legend: N rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.types import BoolArray, Float64Array

Columns = Literal["classes", "labels", "numbers"]
"""The probabilities of classes that exclude each other; those of labels, of one class or of pixels, each for itself;
or anything else."""


_SUMS_TO = 1e-3
"""How far from 1 probabilities of classes may sum to, in float32 and as tables round them."""


def columns_of(members: Mapping[str, Rows], target: Rows, *, are_shares: bool = False) -> Columns:
    """Return what the columns of the members' predictions are.

    Args:
        members: member id -> (N, C).
        target: (N,) or (N, T) what they predict.
        are_shares: whether the target is a share for each column, of classes where those of every row sum to 1, as the
            predictions then do, too.
    """
    num_columns = next(iter(members.values())).shape[1]
    num_targets = target.shape[1] if len(target.shape) == 2 else 1
    if not all(_are_probabilities(member) for member in members.values()):
        return "numbers"
    if are_shares and num_targets == num_columns:
        are_classes = num_columns > 1 and all(map(_sum_to_one, (target, *members.values())))
        return "classes" if are_classes else "labels"
    if num_targets == num_columns:
        return "labels" if all(np.isin(target[block], (0, 1)).all() for block in blocks(target)) else "numbers"
    return "classes" if num_targets == 1 else "numbers"


def probabilities_of(
    members: Mapping[str, Rows], target: Rows, *, method: str, are_shares: bool = False
) -> Literal["classes", "labels"]:
    """Return what the columns are, as ``columns_of`` does. Raises DataError where they are not probabilities."""
    columns = columns_of(members, target, are_shares=are_shares)
    if columns == "numbers":
        raise DataError(
            f"ensemble {method!r}: expected probabilities of classes or labels. Name another one, such as convex."
        )
    return columns


def normalized(values_NC: Float64Array, columns: Columns) -> Float64Array:
    """Return the values with rows that sum to 1 where they are of classes; a row of nothing but 0 is left."""
    if columns != "classes":
        return values_NC
    sums = values_NC.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(values_NC, sums, out=np.zeros_like(values_NC), where=sums > 0))


def _are_probabilities(rows: Rows) -> bool:
    return all(bool(((values := rows[block]) >= 0).all() and (values <= 1).all()) for block in blocks(rows))


def _sum_to_one(rows: Rows) -> bool:
    return all(bool((np.abs(rows[block].sum(axis=1) - 1) < _SUMS_TO).all()) for block in blocks(rows))


def is_most_probable(values_NC: Float64Array) -> BoolArray:
    """Return (N, C) True for each row's most probable column; of equal ones the first."""
    most_probable: BoolArray = values_NC.argmax(axis=1)[:, np.newaxis] == np.arange(values_NC.shape[1])
    return most_probable
