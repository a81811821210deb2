"""Combiners that weight all members the same."""

from __future__ import annotations

from collections.abc import Mapping

from kaggle_ray.combine.combiner import COMBINERS, FoldOf, WeightedMean
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import Rows
from kaggle_ray.types import JsonValue


@COMBINERS.register("mean")
class Mean:
    """All members count the same."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> WeightedMean:
        """Return equal weights of all members."""
        return WeightedMean(weights={member_id: 1 / len(members) for member_id in sorted(members)})

    def from_json(self, value: Mapping[str, JsonValue]) -> WeightedMean:
        """Return the weights that ``WeightedMean.to_json`` described."""
        return WeightedMean.from_json(value)
