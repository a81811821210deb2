"""F-beta of sets of labels: each row is scored by itself, and the mean over the rows is the score.

Shape legend: N rows, L labels.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.types import Float64Array, Target


def f_beta(beta: float) -> Metric:
    """Return the mean over the rows of F-beta of their labels, pooled; recall counts beta times as much as precision.

    Of a binary task it is F-beta of class 1, over all rows at once.

    Until thresholds are fitted, a label is named above 1 / (1 + beta^2): of probabilities that are right, the best
    threshold is F / (1 + beta^2), F being the best score there is.

    A row without labels of which none are predicted scores 1, any other row without a right label 0.
    Source: Kaggle's "Planet: Understanding the Amazon from Space" (beta = 2); van Rijsbergen, 1979; of the threshold:
    Lipton et al., "Optimal thresholding of classifiers to maximize F1 measure", ECML 2014.
    """
    return Metric(
        name=f"f{beta:g}",
        score_fn=partial(_f_beta, beta),
        greater_is_better=True,
        decision="label_thresholds",
        default_threshold=1 / (1 + beta**2),
        beta=beta,
    )


def _f_beta(beta: float, target: Target, values: Float64Array) -> float:
    if target.ndim == 1 and values.shape[1] == 1:  # binary: all rows are one row, whose labels they are
        target, values = target[np.newaxis], values.T
    if target.shape != values.shape:
        raise DataError(
            f"metric 'f{beta:g}': expected target and values of one shape (N, labels), "
            f"got {target.shape} and {values.shape}."
        )
    is_there, is_predicted = target > 0.5, values > 0.5
    num_right = (is_there & is_predicted).sum(axis=1)
    denominator = beta**2 * is_there.sum(axis=1) + is_predicted.sum(axis=1)
    scores = np.divide((1 + beta**2) * num_right, denominator, out=np.ones(len(target)), where=denominator > 0)
    return float(scores.mean())


F1 = f_beta(1.0)
F2 = f_beta(2.0)
