"""How a competition scores predictions. Each metric says what it is pooled over, and where its definition is from."""

from collections.abc import Callable

from kaggle_ray.metrics.agreement import BALANCED_ACCURACY, KAPPA, MCC, map_at_k, top_k_accuracy
from kaggle_ray.metrics.classification import ACCURACY, AUC, LOG_LOSS, confusion_matrix
from kaggle_ray.metrics.metric import (
    CountsScore,
    Metric,
    MetricPart,
    Values,
    combine_metrics,
    over_folds,
    own_target,
    per_fold,
    rounded,
    score_of_rows,
    with_parts,
)
from kaggle_ray.metrics.multilabel import F1, F2, f_beta
from kaggle_ray.metrics.precision_recall import (
    MACRO_F1,
    MACRO_PRECISION,
    MACRO_RECALL,
    MICRO_F1,
    MICRO_PRECISION,
    MICRO_RECALL,
    PRECISION,
    RECALL,
)
from kaggle_ray.metrics.probabilities import AUC_OVR, AVERAGE_PRECISION, BRIER
from kaggle_ray.metrics.regression import MAE, MCRMSE, PEARSON, QUADRATIC_KAPPA, R2, RMSE, RMSLE, SPEARMAN, pinball
from kaggle_ray.metrics.segmentation import DICE, MEAN_AP_IOU, MEAN_IOU
from kaggle_ray.metrics.shares import KL_DIVERGENCE, likeliest, of_shares
from kaggle_ray.metrics.uncertainty import Jackknifed, jackknife, jackknife_of_rows
from kaggle_ray.registry import Registry
from kaggle_ray.types import Target

__all__ = [
    "ACCURACY",
    "AUC",
    "AUC_OVR",
    "AVERAGE_PRECISION",
    "BALANCED_ACCURACY",
    "BRIER",
    "DICE",
    "F1",
    "F2",
    "KAPPA",
    "KL_DIVERGENCE",
    "LOG_LOSS",
    "MACRO_F1",
    "MACRO_PRECISION",
    "MACRO_RECALL",
    "MAE",
    "MCC",
    "MCRMSE",
    "MEAN_AP_IOU",
    "MEAN_IOU",
    "METRICS",
    "MICRO_F1",
    "MICRO_PRECISION",
    "MICRO_RECALL",
    "PEARSON",
    "PRECISION",
    "QUADRATIC_KAPPA",
    "R2",
    "RECALL",
    "RMSE",
    "RMSLE",
    "SPEARMAN",
    "CountsScore",
    "Jackknifed",
    "Metric",
    "MetricPart",
    "combine_metrics",
    "confusion_matrix",
    "f_beta",
    "jackknife",
    "jackknife_of_rows",
    "likeliest",
    "map_at_k",
    "metric_by_name",
    "of_shares",
    "over_folds",
    "own_target",
    "per_fold",
    "pinball",
    "register_metric",
    "rounded",
    "score_of_rows",
    "top_k_accuracy",
    "with_parts",
]

ScoreFunction = Callable[[Target, Values], float]
"""Scores values (N, C) against target (N,) or (N, T)."""

METRICS: Registry[Metric] = Registry("metric")
"""Ours, by their names, and those that a competition's file registers. A head's own may be a ``Metric`` without one."""


def register_metric(
    name: str, *, greater_is_better: bool, decision: str = "none", mean_over_rows: bool = False
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register a function ``(target, values) -> float`` as the metric ``name``, for ``metric_by_name`` and for a head.

    It gets target (N,) or (N, T) and values (N, C), as the ``score_fn`` of a ``Metric`` does, and the other arguments
    are those of a ``Metric``, too.

    >>> import numpy as np
    >>> from kaggle_ray import metric_by_name, register_metric
    >>> @register_metric("within_one", greater_is_better=True)
    ... def within_one(target, values):
    ...     return float(np.mean(np.abs(values[:, 0] - target) <= 1))
    >>> from kaggle_ray.testing.metric_contract import check_metric
    >>> check_metric(metric_by_name("within_one"), np.array([1.0, 5.0, 9.0]), np.array([[1.5], [5.0], [9.2]]))

    Raises:
        ConfigError: the name is built in, or another metric has it.
    """
    return METRICS.register_as(
        name,
        lambda score_fn: Metric(
            name=name,
            score_fn=score_fn,
            greater_is_better=greater_is_better,
            decision=decision,
            mean_over_rows=mean_over_rows,
        ),
    )


for _metric in (
    ACCURACY,
    LOG_LOSS,
    AUC,
    PRECISION,
    RECALL,
    F1,
    F2,
    MACRO_PRECISION,
    MACRO_RECALL,
    MACRO_F1,
    MICRO_PRECISION,
    MICRO_RECALL,
    MICRO_F1,
    BALANCED_ACCURACY,
    MCC,
    KAPPA,
    QUADRATIC_KAPPA,
    top_k_accuracy(3),
    top_k_accuracy(5),
    map_at_k(3),
    map_at_k(5),
    map_at_k(10),
    AUC_OVR,
    AVERAGE_PRECISION,
    BRIER,
    KL_DIVERGENCE,
    RMSE,
    MAE,
    R2,
    MCRMSE,
    RMSLE,
    pinball(0.1),
    pinball(0.5),
    pinball(0.9),
    PEARSON,
    SPEARMAN,
    DICE,
    MEAN_AP_IOU,
    MEAN_IOU,
):
    METRICS.register(_metric.name)(_metric)


def metric_by_name(name: str) -> Metric:
    """Return a metric of ``METRICS``.

    >>> from kaggle_ray import metric_by_name
    >>> metric_by_name("log_loss").greater_is_better
    False

    Raises:
        ConfigError: there is none of that name; the nearest is suggested.
    """
    return METRICS[name]
