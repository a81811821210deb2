"""Convex weights: those of all weights that are at least 0 and sum to 1 under which a smooth loss is least.

The loss is log loss for probabilities, and the squared error for all else, whatever the metric: it is what a metric
without a slope, such as AUC, accuracy or F2, is known to follow. Both are convex in the weights, so that there is one
minimum, found from equal weights along the exact gradient.

Shape legend: M members, N rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kaggle_ray.combine.columns import columns_of, normalized
from kaggle_ray.combine.combiner import COMBINERS, FoldOf, WeightedMean
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import Rows
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue, Target

MOST_MEMBERS = 64
"""Members from which the search for the minimum would take minutes."""
_LEAST_PROBABILITY = 1e-7
_LEAST_WEIGHT = 1e-4
"""Weights below are set to 0: what the search for the minimum leaves of members that do not count."""


@COMBINERS.register("convex")
class Convex:
    """Weights of least log loss, or squared error."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> WeightedMean:
        """Return the weights of the minimum; the members enter in the order of their ids."""
        ids = sorted(members)
        return WeightedMean.of(
            ids, convex_weights({each: members[each] for each in ids}, target, are_shares=metric.takes_shares)
        )

    def from_json(self, value: Mapping[str, JsonValue]) -> WeightedMean:
        """Return the weights that ``WeightedMean.to_json`` described."""
        return WeightedMean.from_json(value)


def convex_weights(members: Mapping[str, Rows], target: Rows, *, are_shares: bool = False) -> Float64Array:
    """Return (M,) the weights under which the members' mean has the least loss.

    All rows of all members are in memory: (N, M) numbers for log loss of classes, (N C, M) for all else.

    Args:
        members: member id -> (N, C).
        target: (N,) or (N, T) what they predict.
        are_shares: whether the target is a share for each class or label.

    Source: of sequential quadratic programming, Kraft, "A software package for sequential quadratic programming",
    DFVLR-FB 88-28, 1988.
    """
    if len(members) == 1:
        return np.ones(1)
    columns, truth = columns_of(members, target, are_shares=are_shares), target[:]
    values = [member[:] for member in members.values()]
    if are_shares and columns != "numbers":
        return _least_log_loss_of_shares(values, truth, of_classes=columns == "classes")
    if columns == "classes":
        picked = np.arange(len(truth)), truth.astype(np.int64)
        return _least_log_loss(np.stack([_of_truth(of_member, picked) for of_member in values], axis=1))
    flat = np.stack([of_member.reshape(-1) for of_member in values], axis=1)
    if columns == "labels":
        is_there = truth.reshape(-1, 1) > 0
        return _least_log_loss(np.where(is_there, flat, 1 - flat))
    return _least_squares(flat, truth.reshape(-1)) if truth.size == len(flat) else np.full(len(values), 1 / len(values))


def _of_truth(values_NC: FloatArray, picked: tuple[IntArray, IntArray]) -> Float64Array:
    """Return (N,) the share of each row's probabilities that its class has."""
    sums = values_NC.sum(axis=1, dtype=np.float64)
    return np.asarray(np.divide(values_NC[picked], sums, out=np.zeros(len(sums)), where=sums > 0))


def _least_log_loss_of_shares(values: Sequence[FloatArray], shares: Target, *, of_classes: bool) -> Float64Array:
    """Return (M,) the weights of the least log loss where a row counts for each class, or label, by its share.

    Args:
        values: (M,) of (N, C) probabilities.
        shares: (N, C), or (N,) of one column.
        of_classes: whether the columns exclude each other.
    """
    flat = np.stack([normalized(of.astype(np.float64), "classes" if of_classes else "labels").ravel() for of in values])
    counts = shares.astype(np.float64).ravel()
    if not of_classes:
        flat, counts = np.concatenate([flat, 1 - flat], axis=1), np.concatenate([counts, 1 - counts])
    return _least_log_loss(flat.T, counts)


def _least_log_loss(of_truth_NM: Float64Array, counts_N: Float64Array | None = None) -> Float64Array:
    """Return (M,) the weights under which the mean of -log of the probabilities of what is true is least.

    A row counts as often as ``counts_N`` says, by default once.
    """
    of_truth_NM = np.clip(of_truth_NM.astype(np.float64), _LEAST_PROBABILITY, None)
    counts_N = np.ones(len(of_truth_NM)) if counts_N is None else counts_N
    total = counts_N.sum()

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        mixed = of_truth_NM @ weights
        return -float(counts_N @ np.log(mixed)) / total, -(of_truth_NM.T @ (counts_N / mixed)) / total

    return _minimum(loss, of_truth_NM.shape[1])


def _least_squares(values_NM: FloatArray, truth_N: Target) -> Float64Array:
    """Return (M,) the weights of the least squared error, by the members' products alone."""
    errors = values_NM.astype(np.float64) - truth_N[:, np.newaxis]  # weights that sum to 1 leave the truth in place
    products = errors.T @ errors / len(errors)

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        gradient = products @ weights
        return float(weights @ gradient), 2 * gradient

    return _minimum(loss, values_NM.shape[1])


def _minimum(loss: Callable[[Float64Array], tuple[float, Float64Array]], num_members: int) -> Float64Array:
    """Return (M,) the weights at the minimum of a convex loss, which returns its gradient, too."""
    from scipy.optimize import (
        Bounds,
        LinearConstraint,
        minimize,
    )  # takes as long as a sixth of torch, and every trial imports this module

    start = np.ones(num_members) / num_members
    found = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(np.ones((1, num_members)), 1, 1),
        options={"ftol": 1e-9, "maxiter": 200},
    ).x
    weights = np.where(found >= _LEAST_WEIGHT, found, 0.0)
    weights = weights / weights.sum()
    return weights if loss(weights)[0] < loss(start)[0] else start
