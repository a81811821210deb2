"""Metrics that a run is measured by beside those that its competition's file names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError, suggest


def with_metrics(competition: Competition, names: Sequence[str]) -> Competition:
    """Return the competition with metrics beside those of its file; nothing that a run computes depends on them.

    Args:
        competition: with nothing left to resolve.
        names: of registered metrics; of several heads each as ``HEAD.METRIC``. One that a head has already is no more.

    Raises:
        ConfigError: there is no such metric or head, or the metric does not score the head's task.
    """
    heads = {head.name: head for head in competition.heads}
    for name in names:
        of_head, _, metric = name.rpartition(".") if len(heads) > 1 else (next(iter(heads)), "", name)
        if of_head not in heads:
            raise ConfigError(
                f"--metrics {name}: expected HEAD.METRIC, as there are several heads{suggest(of_head, heads)}"
            )
        heads[of_head] = _measured_by(heads[of_head], metric)
    return replace(competition, heads=tuple(heads.values())) if names else competition


def _measured_by(head: Head, name: str) -> Head:
    if name in (head.metric.name, *(metric.name for metric in head.further_metrics)):
        return head
    return replace(head, metrics=(*head.metrics, name))
