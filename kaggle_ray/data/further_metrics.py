"""Metrics that a run is measured by beside those that its competition's file names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError


def with_metrics(competition: Competition, names: Sequence[str]) -> Competition:
    """Return the competition with metrics beside those of its file, each of every head that it can score.

    What a head is measured by already stays as it is. Nothing that a run computes depends on them.

    Args:
        competition: with nothing left to resolve.
        names: of metrics that are registered.

    Raises:
        ConfigError: there is no metric of a name, or no head that it can score.
    """
    heads = list(competition.heads)
    for name in names:
        measured = [_measured_by(head, name) for head in heads]
        if all(isinstance(each, ConfigError) for each in measured):
            raise ConfigError(f"--metrics {name}: {measured[0]}")
        heads = [head if isinstance(each, ConfigError) else each for head, each in zip(heads, measured, strict=True)]
    return replace(competition, heads=tuple(heads)) if names else competition


def _measured_by(head: Head, name: str) -> Head | ConfigError:
    """Return the head with the metric of a name beside its own, or why it cannot be scored by it."""
    if name in (head.metric.name, *(metric.name for metric in head.further_metrics)):
        return head
    try:
        return replace(head, metrics=(*head.metrics, name))
    except ConfigError as error:
        return error
