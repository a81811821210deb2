"""Combiners that weight all members the same: their mean, and means on other scales.

Shape legend: N rows, C columns of a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kaggle_ray.combine.columns import Columns, is_most_probable, normalized, probabilities_of
from kaggle_ray.combine.combiner import COMBINERS, FoldOf, WeightedMean
from kaggle_ray.metrics import Metric, over_folds
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, JsonValue

_LEAST = 1e-7
"""Least probability whose logarithm is taken, and 1 - the greatest."""
_EXPONENTS = (0.25, 0.5, 2.0, 4.0)


@COMBINERS.register("mean")
class Mean:
    """All members count the same."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> WeightedMean:
        """Return equal weights of all members."""
        return WeightedMean(weights=equal_shares(members))

    def from_json(self, value: Mapping[str, JsonValue]) -> WeightedMean:
        """Return the weights that ``WeightedMean.to_json`` described."""
        return WeightedMean.from_json(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanOnScale:
    """The equal mean of the members on another scale, taken back to theirs; a single member is left as it is."""

    weights: Mapping[str, float]
    """Member id -> its weight, above 0; the weights sum to 1."""
    columns: Columns
    scale: Literal["log", "power", "votes"]
    """``log``: logarithms of classes, log odds of labels; ``power``: the values to the power of ``exponent``;
    ``votes``: 1 for the most probable class, or a label above a half, and 0 for the others."""
    exponent: float = 1.0
    """Power of the scale ``power``."""

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the mean, computed where it is read."""
        chosen = [members[member_id] for member_id in self.weights]
        if len(chosen) == 1:
            return chosen[0]
        return LazyRows(chosen[0].shape, lambda rows: self._mean([member[rows] for member in chosen]))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the fields."""
        return {"weights": dict(self.weights), "columns": self.columns, "scale": self.scale, "exponent": self.exponent}

    def _mean(self, parts: Sequence[FloatArray]) -> FloatArray:
        total = np.zeros(parts[0].shape)
        for part, weight in zip(parts, self.weights.values(), strict=True):
            total += weight * self._to_scale(part.astype(np.float64))
        return normalized(self._from_scale(total), self.columns).astype(np.float32)

    def _to_scale(self, values: Float64Array) -> Float64Array:
        if self.scale == "power":
            return np.asarray(values**self.exponent)
        if self.scale == "votes":
            is_chosen = is_most_probable(values) if self.columns == "classes" else values > 0.5
            return np.asarray(is_chosen, dtype=np.float64)
        clipped = np.clip(values, _LEAST, 1 - _LEAST)
        return np.asarray(np.log(clipped) if self.columns == "classes" else np.log(clipped) - np.log1p(-clipped))

    def _from_scale(self, values: Float64Array) -> Float64Array:
        if self.scale == "power":
            return np.asarray(values ** (1 / self.exponent))
        if self.scale == "votes":
            return values
        return np.asarray(np.exp(values) if self.columns == "classes" else 1 / (1 + np.exp(-values)))


class _OnScale:
    """Combiners that return a ``MeanOnScale``."""

    def from_json(self, value: Mapping[str, JsonValue]) -> MeanOnScale:
        """Return what ``MeanOnScale.to_json`` described."""
        return from_json(MeanOnScale, value, where="mean of an ensemble")


@COMBINERS.register("geometric")
class Geometric(_OnScale):
    """The mean of logarithms, or of the log odds of labels: one member that is sure outweighs several that are not."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> MeanOnScale:
        """Return the mean of all members. Raises DataError where they are no probabilities."""
        columns = probabilities_of(members, target, method="geometric", are_shares=metric.takes_shares)
        return MeanOnScale(weights=equal_shares(members), columns=columns, scale="log")


@COMBINERS.register("vote")
class Vote(_OnScale):
    """The share of the members whose answer a class or label is."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> MeanOnScale:
        """Return the mean of all members' answers. Raises DataError where they are no probabilities."""
        columns = probabilities_of(members, target, method="vote", are_shares=metric.takes_shares)
        return MeanOnScale(weights=equal_shares(members), columns=columns, scale="votes")


@COMBINERS.register("power")
class Power(_OnScale):
    """The mean of a power of the values: between members that are sure, and those that are not, the metric decides."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> MeanOnScale:
        """Return the mean under the exponent that scores best. Raises DataError where they are no probabilities."""
        columns, scorer = (
            probabilities_of(members, target, method="power", are_shares=metric.takes_shares),
            over_folds(metric, fold_of),
        )
        means = [
            MeanOnScale(weights=equal_shares(members), columns=columns, scale="power", exponent=exponent)
            for exponent in _EXPONENTS
        ]
        best, best_score = means[0], math.nan
        for mean in means:
            score = scorer.score(target, mean.predict(members))
            if math.isnan(best_score) or metric.is_better(score, best_score):
                best, best_score = mean, score
        return best


def equal_shares(members: Collection[str]) -> dict[str, float]:
    """Return the same share for each member, in the order of their ids."""
    return {member_id: 1 / len(members) for member_id in sorted(members)}
