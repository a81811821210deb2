"""Weights for the members of an ensemble.

Shape legend: M members, N rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.metrics import Metric
from kaggle_ray.types import Float64Array, FloatArray, Target

Method = Literal["mean", "greedy"]


def fit_weights(method: Method, members: Sequence[FloatArray], target: Target, metric: Metric) -> Float64Array:
    """Return (M,) the weights that ``method`` gives to ``members``, each (N, C); they sum to 1.

    Raises:
        ConfigError: there is no such method.
    """
    if method == "mean":
        return mean_weights(len(members))
    if method == "greedy":
        return greedy_weights(members, target, metric)
    raise ConfigError(f"there is no ensemble method {method!r}{suggest(method, get_args(Method))}")


def mean_weights(num_members: int) -> Float64Array:
    """Return (M,) equal weights."""
    return np.full(num_members, 1.0 / num_members)


def greedy_weights(
    members: Sequence[FloatArray], target: Target, metric: Metric, *, max_steps: int = 25
) -> Float64Array:
    """Return (M,) the weights of forward selection with replacement, the best prefix of its path.

    The path starts from the best single member; each step adds the member that makes the mean of the chosen best. Ties
    go to the earlier step and the lower index. A running sum makes a step cost O(M N C), however long the path.

    Args:
        members: M predictions, each (N, C).
        target: (N,) or (N, T) what they predict.
        metric: decides; greater or smaller is better.
        max_steps: length of the path, at least 1.

    Source: Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004.
    """
    chosen: list[int] = []
    running_sum = np.zeros(members[0].shape)
    best_score, best_length = float("nan"), 0
    for length in range(1, max_steps + 1):
        index, score = _best_addition(running_sum, length, members, target, metric)
        chosen.append(index)
        running_sum += members[index]
        if length == 1 or metric.is_better(score, best_score):
            best_score, best_length = score, length
    return np.bincount(chosen[:best_length], minlength=len(members)) / best_length


def _best_addition(
    running_sum: Float64Array, length: int, members: Sequence[FloatArray], target: Target, metric: Metric
) -> tuple[int, float]:
    """Return the member whose addition makes the best mean of ``length`` members, and that mean's score."""
    best_index, best_score = -1, float("nan")
    for index, member in enumerate(members):
        # Rounded to float32 as `blend` rounds, so that what is selected is what will be submitted.
        mean = ((running_sum + member) / length).astype(np.float32)
        score = metric.score(target, mean)
        if best_index < 0 or metric.is_better(score, best_score):
            best_index, best_score = index, score
    return best_index, best_score


def blend(members: Sequence[FloatArray], weights: Float64Array) -> FloatArray:
    """Return (N, C) the sum of ``members``, each (N, C), weighted by ``weights`` (M,): in float64, clipped nowhere."""
    total = np.zeros(members[0].shape)
    for member, weight in zip(members, weights, strict=True):
        total += weight * member.astype(np.float64)
    return total.astype(np.float32)
