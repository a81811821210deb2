"""Cuts between ordered classes for quadratic kappa.

Shape legend: N rows.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.metrics import Metric
from kaggle_ray.types import Float64Array, FloatArray, Target


def fit_cutpoints(metric: Metric, target: Target, values: FloatArray) -> list[float]:
    """Return the ascending cuts between the classes 0, 1, ... of the target.

    The search starts from the cuts that give each class as many rows as it has, and keeps the better of both.

    Args:
        metric: of class numbers (N, 1).
        target: (N,) class numbers.
        values: (N, 1) numbers that grow with the class.
    """
    from scipy.optimize import minimize  # takes as long as a sixth of torch, and every trial imports this module

    classes = np.arange(int(target.max()) + 1)
    shares = np.cumsum(np.bincount(target.astype(np.int64), minlength=len(classes)))[:-1] / len(target)
    start = np.quantile(values[:, 0].astype(np.float64), shares)
    sign = -1.0 if metric.greater_is_better else 1.0

    def loss(cuts: Float64Array) -> float:
        answers = np.searchsorted(np.sort(cuts), values).astype(np.float64)
        return sign * metric.score_fn(target, answers)

    found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 200 * len(start)}).x
    best = found if loss(found) < loss(start) else start
    return [float(cut) for cut in np.sort(best)]
