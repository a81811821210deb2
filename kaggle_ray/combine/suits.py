"""Whether a combiner makes sense of what a competition predicts, told by made-up predictions: before any is trained."""

from __future__ import annotations

from collections.abc import Mapping

from kaggle_ray.combine.boosting import columns_to_boost
from kaggle_ray.combine.columns import probabilities_of
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import Rows

_OF_PROBABILITIES = ("geometric", "power", "vote", "logistic", "tempered")


def check_suits(method: str, members: Mapping[str, Rows], target: Rows, metric: Metric) -> None:
    """Raise DataError where a combiner of ours is for predictions of another kind; any other is passed.

    Args:
        method: name of the combiner, or ``auto``.
        members: member id -> (N, C) predictions, made up or not.
        target: (N,) or (N, T) what they predict.
        metric: of the competition.
    """
    if method in _OF_PROBABILITIES:
        probabilities_of(members, target, method=method, are_shares=metric.takes_shares)
    if method == "boosting":
        columns_to_boost(members, target, metric)
