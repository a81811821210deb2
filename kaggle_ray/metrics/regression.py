"""Metrics of numbers, pooled over the rows.

Shape legend: N rows, C columns: 1 for a number; for kappa of an ordered class also the classes' probabilities.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics.classification import class_numbers
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.types import Float64Array, IntArray, Target


def _numbers(name: str, target: Target, values: Float64Array) -> Float64Array:
    """Return (N, C) the target as numbers. Raise DataError where it has not one for each value."""
    if target.reshape(len(target), -1).shape != values.shape:
        raise DataError(
            f"metric {name!r}: expected a number for each value, got target {target.shape} and values {values.shape}."
        )
    return target.reshape(values.shape).astype(np.float64)


def _rmse(target: Target, values: Float64Array) -> float:
    return float(np.sqrt(np.mean((_numbers("rmse", target, values) - values) ** 2)))


def _mae(target: Target, values: Float64Array) -> float:
    return float(np.mean(np.abs(_numbers("mae", target, values) - values)))


def _r2(target: Target, values: Float64Array) -> float:
    numbers = _numbers("r2", target, values)
    if not np.ptp(numbers):  # the sum below would be what rounding leaves
        return 0.0
    return 1.0 - float(np.sum((numbers - values) ** 2) / np.sum((numbers - numbers.mean()) ** 2))


def _mcrmse(target: Target, values: Float64Array) -> float:
    squares = (_numbers("mcrmse", target, values) - values) ** 2
    return float(np.sqrt(squares.mean(axis=0)).mean())


def _rmsle(target: Target, values: Float64Array) -> float:
    numbers = _numbers("rmsle", target, values)
    if (numbers < 0).any():
        raise DataError(f"metric 'rmsle': expected no target below 0, got {numbers.min()}.")
    return float(np.sqrt(np.mean((np.log1p(numbers) - np.log1p(np.maximum(values, 0.0))) ** 2)))


def _pinball(quantile: float, target: Target, values: Float64Array) -> float:
    above = _numbers(f"pinball_{quantile:g}", target, values) - values
    return float(np.mean(np.maximum(quantile * above, (quantile - 1) * above)))


def _pearson(target: Target, values: Float64Array) -> float:
    numbers = _numbers("pearson", target, values)
    if not np.ptp(numbers) or not np.ptp(values):
        return 0.0
    return float(np.corrcoef(numbers.ravel(), values.ravel())[0, 1])


def _spearman(target: Target, values: Float64Array) -> float:
    from scipy.stats import rankdata  # every trial imports this module, and few are scored by ranks

    ranks = rankdata(_numbers("spearman", target, values)), rankdata(values)
    return _pearson(ranks[0], ranks[1][:, np.newaxis])


def pinball(quantile: float) -> Metric:
    """Return the mean loss of a ``quantile`` that is predicted: what lies above it costs quantile, below it the rest.

    >>> import numpy as np
    >>> from kaggle_ray.metrics import pinball
    >>> [round(pinball(0.9).score(np.array([10.0]), np.array([[value]])), 6) for value in (9.0, 11.0)]
    [0.9, 0.1]

    Raises:
        ConfigError: the quantile is not above 0 and below 1.

    Source: Koenker and Bassett, "Regression quantiles", Econometrica 1978.
    """
    if not 0 < quantile < 1:
        raise ConfigError(f"pinball: expected a quantile above 0 and below 1, got {quantile}.")
    return Metric(name=f"pinball_{quantile:g}", score_fn=partial(_pinball, quantile), greater_is_better=False)


def _quadratic_kappa(target: Target, values: Float64Array) -> float:
    if values.shape[1] > 1:
        truth: IntArray | Float64Array = class_numbers("quadratic_kappa", target, values)
        ratings = values.argmax(axis=1)
    else:
        truth = _numbers("quadratic_kappa", target, values)[:, 0]
        ratings = np.rint(values[:, 0].astype(np.float64))
    expected = _mean_square(truth, ratings)
    return 1.0 - float(np.mean((truth - ratings) ** 2) / expected) if expected else 1.0


def _mean_square(first: Target, second: Target) -> float:
    """Return the mean of (a - b)**2 over all pairs of one of the first and one of the second."""
    return float(np.mean(first.astype(np.float64) ** 2) + np.mean(second**2) - 2 * np.mean(first) * np.mean(second))


RMSE = Metric(name="rmse", score_fn=_rmse, greater_is_better=False)
"""Root of the mean squared error."""

MAE = Metric(name="mae", score_fn=_mae, greater_is_better=False)
"""Mean absolute error."""

MCRMSE = Metric(name="mcrmse", score_fn=_mcrmse, greater_is_better=False)
"""Mean over the columns of the root of their mean squared error. Of several heads of one number each it is what their
``rmse`` gives together, with equal weights."""

RMSLE = Metric(name="rmsle", score_fn=_rmsle, greater_is_better=False)
"""Root of the mean squared error of ln(1 + x); predictions below 0 count as 0."""

PEARSON = Metric(name="pearson", score_fn=_pearson, greater_is_better=True)
"""Pearson's correlation; 0 where either is the same for all rows."""

SPEARMAN = Metric(name="spearman", score_fn=_spearman, greater_is_better=True)
"""Pearson's correlation of the ranks, equal ones sharing theirs; 0 where either is the same for all rows."""

R2 = Metric(name="r2", score_fn=_r2, greater_is_better=True)
"""Share of the target's variance that is explained: 1 - squared error / squared distance from the mean; 0 for a
constant target."""

QUADRATIC_KAPPA = Metric(
    name="quadratic_kappa", score_fn=_quadratic_kappa, greater_is_better=True, decision="cutpoints"
)
"""Agreement of ordered classes 0, 1, ... beyond chance, disagreement counting by its square. Values are probabilities
of the classes, or one number that is cut into classes.

Source: Cohen, Psychological Bulletin 1968 (weighted kappa).
"""
