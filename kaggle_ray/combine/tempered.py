"""How sure a blend of probabilities may be: a temperature and a least probability, learnt like weights are.

The mean of members that err apart is less sure than it is right, which one temperature below 1 makes up for; a row that
is wrong and all but certain costs more than all others, which a least probability bounds.

A blend is never softened by a temperature above 1. It is learnt of rows that one model of each member predicts, and
test rows are predicted by the mean over the folds' models, which is the less sure by itself: what softens the one may
be too much for the other, and what sharpens the one is never too much. A least probability costs a test row no more
than it costs a row out of fold, and is small.

Shape legend: M members, N rows, C columns of a prediction.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.columns import Columns, normalized, probabilities_of
from kaggle_ray.combine.combiner import COMBINERS, FoldOf, WeightedMean
from kaggle_ray.combine.convex import MOST_MEMBERS, Convex
from kaggle_ray.combine.means import Mean, equal_shares
from kaggle_ray.metrics import LOG_LOSS, Metric
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue, Target

_LEAST = 1e-7
"""Least probability whose logarithm is taken, and 1 - the greatest."""
_SHARPEST = 0.25
_LEAST_PROBABILITIES = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
"""Not more: it is learnt of rows that one model predicts, and their mean is in less need of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemperedMean:
    """The weighted mean of the members, sharpened, and then kept away from certainty; a single one is left as it is."""

    weights: Mapping[str, float]
    """Member id -> its weight, above 0; the weights sum to 1."""
    columns: Columns
    temperature: float
    """What logarithms of classes, or log odds of labels, are divided by: at most 1, which leaves them as they are."""
    least: float
    """Least probability of a class or label, and of its absence; 0 leaves them as they are."""

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the mean, computed where it is read."""
        mean = WeightedMean(weights=self.weights).predict(members)
        if (self.temperature, self.least) == (1.0, 0.0):
            return mean

        def read(rows: IntArray) -> FloatArray:
            tempered = tempered_by(mean[rows].astype(np.float64), self.columns, self.temperature)
            return at_least(tempered, self.columns, self.least).astype(np.float32)

        return LazyRows(mean.shape, read)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the fields."""
        return {
            "weights": dict(self.weights),
            "columns": self.columns,
            "temperature": self.temperature,
            "least": self.least,
        }


@COMBINERS.register("tempered")
class Tempered:
    """Convex weights, or of very many members equal ones, then what is of the least log loss."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> TemperedMean:
        """Return the mean of least log loss, whatever the metric. Raises DataError where there are no probabilities."""
        columns = probabilities_of(members, target, method="tempered")
        if len(members) == 1:
            return TemperedMean(weights=equal_shares(members), columns=columns, temperature=1.0, least=0.0)
        weigher = Convex() if len(members) <= MOST_MEMBERS else Mean()
        mean = weigher.fit(members, target, fold_of, metric)
        values_NC, truth = mean.predict(members)[:].astype(np.float64), target[:]
        least = 0.0
        for _ in range(2):  # each is found under the other
            temperature = _best_temperature(values_NC, truth, columns, least)
            tempered_NC = tempered_by(values_NC, columns, temperature)
            losses = [LOG_LOSS.score_fn(truth, at_least(tempered_NC, columns, each)) for each in _LEAST_PROBABILITIES]
            least = _LEAST_PROBABILITIES[int(np.argmin(losses))]
        return TemperedMean(weights=mean.weights, columns=columns, temperature=temperature, least=least)

    def from_json(self, value: Mapping[str, JsonValue]) -> TemperedMean:
        """Return what ``TemperedMean.to_json`` described."""
        return from_json(TemperedMean, value, where="tempered mean of an ensemble")


def tempered_by(values_NC: Float64Array, columns: Columns, temperature: float) -> Float64Array:
    """Return the probabilities with their logarithms, or log odds, divided by ``temperature``; 1 leaves them."""
    if temperature == 1:
        return values_NC
    if columns == "classes":
        logs_NC = np.log(np.clip(normalized(values_NC, columns), _LEAST, None)) / temperature
        return normalized(np.exp(logs_NC - logs_NC.max(axis=1, keepdims=True)), columns)
    clipped_NC = np.clip(values_NC, _LEAST, 1 - _LEAST)
    return np.asarray(1 / (1 + np.exp((np.log1p(-clipped_NC) - np.log(clipped_NC)) / temperature)))


def at_least(values_NC: Float64Array, columns: Columns, least: float) -> Float64Array:
    """Return the probabilities with none below ``least``, nor of labels above 1 - ``least``; 0 leaves them."""
    if not least:
        return values_NC
    if columns == "classes":
        return normalized(np.maximum(normalized(values_NC, columns), least), columns)
    return np.clip(values_NC, least, 1 - least)


def _best_temperature(values_NC: Float64Array, truth: Target, columns: Columns, least: float) -> float:
    """Return the temperature of the least loss, at most 1."""
    from scipy.optimize import minimize_scalar  # as of convex weights

    def loss(log_temperature: float) -> float:
        tempered_NC = tempered_by(values_NC, columns, float(np.exp(log_temperature)))
        return LOG_LOSS.score_fn(truth, at_least(tempered_NC, columns, least))

    found = minimize_scalar(loss, bounds=(np.log(_SHARPEST), 0.0), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0
