"""Metrics where a row's truth is a share for each class, such as those of annotators' votes: soft targets.

Shape legend: N rows, C columns of a prediction. Binary: C = 1, the share of class 1 is (N,). Multi-class: shares
(N, C). Multi-label: shares (N, C) of labels, each from 0 to 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.metrics.classification import LOG_LOSS
from kaggle_ray.metrics.metric import Metric, Values
from kaggle_ray.metrics.probabilities import BRIER
from kaggle_ray.types import Float64Array, Target, Task

_CLIP = 1e-15

ScoreOfShares = Callable[[Target, Values], float]


def _log_loss_of_classes(target: Target, values: Values) -> float:
    return LOG_LOSS.score_fn(target, values)


KL_DIVERGENCE = Metric(name="kl_divergence", score_fn=_log_loss_of_classes, greater_is_better=False)
"""Mean of the sum over the classes of share ln(share / P), of labels the mean over them: the log loss of soft targets
without what no prediction can do about it. Of classes that are certain it is the log loss.

Source: Kullback and Leibler, Annals of Mathematical Statistics 1951.
"""


def of_shares(metric: Metric, task: Task) -> Metric:
    """Return the metric for soft targets: of the shares where it knows what they are, else of the likeliest class.

    Log loss, Brier's score and the KL divergence have their form for shares, and a metric that ``takes_shares`` is
    given them. Any other is of classes: it is scored against the class of the largest share, the first of equals, or
    against the labels above one half.
    """
    if metric.takes_shares:
        return metric
    known = {LOG_LOSS.score_fn: _log_loss, BRIER.score_fn: _brier, KL_DIVERGENCE.score_fn: _kl_divergence}
    score_fn = (
        partial(known[metric.score_fn], metric.name, task == "multiclass")
        if metric.score_fn in known
        else partial(_of_likeliest, metric.score_fn, task)
    )
    scored = metric.rescored(score_fn, mean_over_rows=metric.mean_over_rows)
    return dataclasses.replace(scored, takes_shares=True)


def likeliest(shares: Target, task: Task) -> Target:
    """Return the classes of the largest shares (N,), or what is above one half, as integers."""
    if task == "multiclass":
        return np.asarray(shares.argmax(axis=1), dtype=np.int64)
    return np.asarray(shares > 0.5, dtype=np.int64)


def _of_likeliest(score_fn: ScoreOfShares, task: Task, shares: Target, values: Values) -> float:
    return score_fn(likeliest(shares, task), values)


def _log_loss(name: str, of_classes: bool, shares: Target, values: Values) -> float:
    columns, values = _same_columns(name, shares, values)
    return _cross_entropy(columns, values, of_classes=of_classes)


def _kl_divergence(name: str, of_classes: bool, shares: Target, values: Values) -> float:
    columns, values = _same_columns(name, shares, values)
    of_truth = _cross_entropy(columns, columns, of_classes=of_classes)
    return _cross_entropy(columns, values, of_classes=of_classes) - of_truth


def _brier(name: str, of_classes: bool, shares: Target, values: Values) -> float:
    columns, values = _same_columns(name, shares, values)
    squares = (columns - values) ** 2
    return float(squares.sum(axis=1).mean() if of_classes else squares.mean())


def _cross_entropy(shares: Float64Array, values: Float64Array, *, of_classes: bool) -> float:
    """Return the mean of -sum(share ln P) over the rows, of labels the mean over these, too."""
    if of_classes:
        sums = values.sum(axis=1, keepdims=True)
        values = np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
    values = np.clip(values, _CLIP, 1 - _CLIP)
    if of_classes:
        return -float((shares * np.log(values)).sum(axis=1).mean())
    return -float((shares * np.log(values) + (1 - shares) * np.log(1 - values)).mean())


def _same_columns(name: str, shares: Target, values: Values) -> tuple[Float64Array, Float64Array]:
    columns = shares.reshape(len(shares), -1).astype(np.float64)
    if columns.shape != values.shape:
        raise DataError(
            f"metric {name!r}: expected a share for each column of the predictions, got {shares.shape} and "
            f"{values.shape}."
        )
    return columns, values.astype(np.float64)
