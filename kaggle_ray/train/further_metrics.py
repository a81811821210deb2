"""What predictions are scored by beside the competition's metric: to be looked at, nothing is decided by it.

Shape suffixes: N samples, C columns of the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaggle_ray.data.baseline import target_of
from kaggle_ray.data.head import Head, PlacedHead, place_heads
from kaggle_ray.decide import default_score
from kaggle_ray.metrics import Metric
from kaggle_ray.train.anomalies import Warn
from kaggle_ray.train.failures import reason_of
from kaggle_ray.types import FloatArray, Target, TrialWarning


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """A metric of one of the heads, by the name that it is told by."""

    name: str
    place: PlacedHead
    metric: Metric


class FurtherMetrics:
    """Scores predictions by all metrics that the heads name; one that fails costs a warning, and never the trial."""

    def __init__(self, heads: Sequence[Head], metric: Metric, warn: Warn) -> None:
        """Score by what ``heads`` name beside the competition's ``metric``; ``warn`` hears once of each that fails."""
        is_one = len(heads) == 1
        self._named = [
            _Named(name=metric.name if is_one else f"{place.head.name}.{metric.name}", place=place, metric=metric)
            for place in place_heads(heads)
            for metric in place.head.further_metrics
        ]
        self._metric = metric
        self._warn = warn
        self._has_failed: set[str] = set()

    def scores(self, target: Target, values_NC: FloatArray, epoch: int) -> dict[str, float]:
        """Return metric -> score of predictions, after ``epoch``; one that cannot be measured is left out."""
        found = {
            each.name: self.tried(
                each.name, each.metric, target_of(each.place, target)[:], values_NC[:, each.place.outputs], epoch
            )
            for each in self._named
        }
        return {name: score for name, score in found.items() if score is not None}

    def score(self, target: Target, values_NC: FloatArray, epoch: int) -> float | None:
        """Return the competition's own metric of predictions that nothing hangs on, None where it fails."""
        return self.tried(self._metric.name, self._metric, target, values_NC, epoch)

    def tried(self, name: str, metric: Metric, target: Target, values_NC: FloatArray, epoch: int) -> float | None:
        """Return the score of predictions by ``metric``, or None and a warning, of ``name``, where it fails."""
        try:
            return default_score(metric, target, values_NC)
        except Exception as error:  # a person's own metric may raise anything, and is only looked at
            if name not in self._has_failed:
                self._has_failed.add(name)
                text = f"the metric {name} cannot be measured: {reason_of(error)}"
                self._warn(TrialWarning(topic=f"metric_{name}", text=text, epoch=epoch))
            return None
