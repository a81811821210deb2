"""How sure probabilities may be: temperatures and a least probability, learnt like weights are.

A member that is too sure has a temperature of its own, above 1, by which each of its models is calibrated: out of fold
a row is predicted by one model, and a test row by the mean of those of the folds, each under that temperature. A mean
is less sure than its models, so that what softens these would soften it too much. A member whose models are not known
apart, such as predictions from elsewhere, is therefore not softened.

The mean of members that err apart is less sure than it is right, which one temperature of at most 1 makes up for: what
sharpens one model is never too much for the mean of several. It is one number for all, learnt after the weights, as
one for each member is learnt of the same rows for little more than their noise. A single member is sharpened model by
model. A row that is wrong and all but certain costs more than all others, which a least probability bounds. It costs
a test row no more than it costs a row out of fold, and is small.

Shape legend: M members, N rows, C columns of a prediction.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature); Rahaman and Thiery,
"Uncertainty quantification and deep ensembles", NeurIPS 2021 (before or after the mean).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from kaggle_ray.combine.columns import Columns, normalized, probabilities_of
from kaggle_ray.combine.combiner import COMBINERS, FoldOf, WeightedMean
from kaggle_ray.combine.convex import MOST_MEMBERS, Convex
from kaggle_ray.combine.means import Mean
from kaggle_ray.metrics import LOG_LOSS, Metric
from kaggle_ray.metrics.shares import of_shares
from kaggle_ray.rows import LazyRows, MeanRows, Rows, parts_of
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue, Target

LogLoss = Callable[[Target, Float64Array], float]

_LEAST = 1e-7
"""Least probability whose logarithm is taken, and 1 - the greatest."""
_SHARPEST = 0.25
_SOFTEST = 4.0
_MOST_ROWS = 20_000
"""Rows that a member's temperature is learnt from, evenly of all: one number needs no more."""
_LEAST_PROBABILITIES = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
"""Not more: it is learnt of rows that one model predicts, and their mean is in less need of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemperedMean:
    """The weighted mean of the members, each calibrated, sharpened, and then kept away from certainty."""

    weights: Mapping[str, float]
    """Member id -> its weight, above 0; the weights sum to 1."""
    columns: Columns
    temperature: float
    """What logarithms of classes, or log odds of labels, are divided by: at most 1, which leaves them as they are."""
    least: float
    """Least probability of a class or label, and of its absence; 0 leaves them as they are."""
    of_members: Mapping[str, float] = field(default_factory=dict)
    """Member id -> temperature that each of its models is calibrated by, where it is not 1."""

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the mean, computed where it is read."""
        members = {
            each: calibrated(members[each], self.columns, self.of_members.get(each, 1.0)) for each in self.weights
        }
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
            "of_members": dict(self.of_members),
        }


@COMBINERS.register("tempered")
class Tempered:
    """Convex weights, or of very many members equal ones, then what is of the least log loss."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> TemperedMean:
        """Return what has the least log loss, whatever the metric. Raises DataError where it is no probability."""
        columns = probabilities_of(members, target, method="tempered", are_shares=metric.takes_shares)
        log_loss = _log_loss_of(columns, metric)
        sharpest = _SHARPEST if len(members) == 1 else 1.0
        of_members = {
            each: _temperature_of(members[each], target, columns, log_loss, sharpest=sharpest)
            for each in sorted(members)
        }
        members = {each: calibrated(members[each], columns, temperature) for each, temperature in of_members.items()}
        weigher = Convex() if len(members) <= MOST_MEMBERS else Mean()
        mean = weigher.fit(members, target, fold_of, metric)
        values_NC, truth = mean.predict(members)[:].astype(np.float64), target[:]
        least = 0.0
        temperature = 1.0
        for _ in range(2):  # each is found under the other
            if len(members) > 1:  # one alone is calibrated already
                temperature = _best_temperature(values_NC, truth, columns, log_loss, least)
            tempered_NC = tempered_by(values_NC, columns, temperature)
            losses = [log_loss(truth, at_least(tempered_NC, columns, each)) for each in _LEAST_PROBABILITIES]
            least = _LEAST_PROBABILITIES[int(np.argmin(losses))]
        return TemperedMean(
            weights=mean.weights,
            columns=columns,
            temperature=temperature,
            least=least,
            of_members={each: of_members[each] for each in mean.weights if of_members[each] != 1},
        )

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


def calibrated(member: Rows, columns: Columns, temperature: float) -> Rows:
    """Return (N, C) the mean of what each of a member's models predicts under a temperature; 1 leaves it as it is."""
    if temperature == 1:
        return member
    models = parts_of(member)

    def read(rows: IntArray) -> FloatArray:
        tempered = [tempered_by(model[rows].astype(np.float64), columns, temperature) for model in models]
        return np.asarray(np.mean(tempered, axis=0), dtype=np.float32)

    return LazyRows(member.shape, read)


def _log_loss_of(columns: Columns, metric: Metric) -> LogLoss:
    """Return the log loss, of soft targets that of shares."""
    if not metric.takes_shares:
        return LOG_LOSS.score_fn
    return of_shares(LOG_LOSS, "multiclass" if columns == "classes" else "multilabel").score_fn


def _temperature_of(member: Rows, target: Rows, columns: Columns, log_loss: LogLoss, *, sharpest: float) -> float:
    """Return a member's temperature: at most 1 where its models are not known apart."""
    softest = _SOFTEST if isinstance(member, MeanRows) else 1.0
    if sharpest == softest:
        return 1.0
    rows = np.arange(0, len(target), -(-len(target) // _MOST_ROWS))
    truth, models = target[rows], [model[rows].astype(np.float64) for model in parts_of(member)]

    def loss(temperature: float) -> float:
        tempered = [tempered_by(values_NC, columns, temperature) for values_NC in models]
        return log_loss(truth, np.mean(tempered, axis=0))

    return _least(loss, sharpest=sharpest, softest=softest)


def _best_temperature(
    values_NC: Float64Array, truth: Target, columns: Columns, log_loss: LogLoss, least: float
) -> float:
    """Return the temperature of the least loss, at most 1."""

    def loss(temperature: float) -> float:
        tempered_NC = tempered_by(values_NC, columns, temperature)
        return log_loss(truth, at_least(tempered_NC, columns, least))

    return _least(loss, sharpest=_SHARPEST, softest=1.0)


def _least(loss: Callable[[float], float], *, sharpest: float, softest: float) -> float:
    """Return the temperature of the least loss, 1 where none is better."""
    from scipy.optimize import minimize_scalar  # as of convex weights

    bounds = (np.log(sharpest), np.log(softest))
    found = minimize_scalar(
        lambda log_temperature: loss(float(np.exp(log_temperature))),
        bounds=bounds, method="bounded", options={"xatol": 1e-3},
    )  # fmt: skip
    return float(np.exp(found.x)) if found.fun < loss(1.0) else 1.0
