"""How a competition scores predictions. Each metric says what it is pooled over, and where its definition is from."""

from kaggle_ray.metrics.classification import ACCURACY, AUC, LOG_LOSS, confusion_matrix
from kaggle_ray.metrics.metric import (
    CountsScore,
    DecisionKind,
    Metric,
    MetricPart,
    combine_metrics,
    over_folds,
    own_target,
    per_fold,
    rounded,
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
from kaggle_ray.metrics.regression import MAE, QUADRATIC_KAPPA, R2, RMSE
from kaggle_ray.metrics.segmentation import DICE, MEAN_AP_IOU, MEAN_IOU
from kaggle_ray.metrics.uncertainty import Jackknifed, jackknife
from kaggle_ray.registry import Registry

__all__ = [
    "ACCURACY",
    "AUC",
    "DICE",
    "F1",
    "F2",
    "LOG_LOSS",
    "MACRO_F1",
    "MACRO_PRECISION",
    "MACRO_RECALL",
    "MAE",
    "MEAN_AP_IOU",
    "MEAN_IOU",
    "METRICS",
    "MICRO_F1",
    "MICRO_PRECISION",
    "MICRO_RECALL",
    "PRECISION",
    "QUADRATIC_KAPPA",
    "R2",
    "RECALL",
    "RMSE",
    "CountsScore",
    "DecisionKind",
    "Jackknifed",
    "Metric",
    "MetricPart",
    "combine_metrics",
    "confusion_matrix",
    "f_beta",
    "jackknife",
    "metric_by_name",
    "over_folds",
    "own_target",
    "per_fold",
    "rounded",
    "with_parts",
]

METRICS: Registry[Metric] = Registry("metric")
"""Ours, by their names. A competition's own is a ``Metric`` in its file, and needs none."""
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
    RMSE,
    MAE,
    R2,
    QUADRATIC_KAPPA,
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
