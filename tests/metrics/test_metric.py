from __future__ import annotations

import numpy as np
import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import ACCURACY, AUC, LOG_LOSS, RMSE, combine_metrics, over_folds, per_fold

RNG = np.random.default_rng(0)


def test_a_metric_per_fold_is_the_mean_over_the_folds() -> None:
    fold_of = np.arange(40) % 4
    target = RNG.integers(0, 2, 40)
    values = RNG.random((40, 1)).astype(np.float32)
    of_folds = [AUC.score(target[fold_of == fold], values[fold_of == fold]) for fold in range(4)]
    assert over_folds(per_fold(AUC), fold_of).score(target, values) == pytest.approx(np.mean(of_folds))
    assert over_folds(AUC, fold_of) is AUC
    assert AUC.score(target, values) != pytest.approx(np.mean(of_folds))


def test_the_weighted_mean_of_metrics_scores_each_in_its_own_columns() -> None:
    target = np.column_stack([np.arange(40) % 3, RNG.normal(size=40)])
    values = RNG.random((40, 4)).astype(np.float32)
    both = combine_metrics([(LOG_LOSS, slice(0, 1), slice(0, 3), 1.0), (RMSE, slice(1, 2), slice(3, 4), 3.0)])
    parts = LOG_LOSS.score(np.arange(40) % 3, values[:, :3]), RMSE.score(target[:, 1], values[:, 3:])
    assert both.score(target, values) == pytest.approx((parts[0] + 3 * parts[1]) / 4)
    assert both.name == "log_loss+rmse"
    assert not both.greater_is_better


def test_metrics_of_opposite_directions_are_not_combined() -> None:
    with pytest.raises(ConfigError, match=r"accuracy \(greater is better\), rmse \(smaller is better\)"):
        combine_metrics([(ACCURACY, slice(0, 1), slice(0, 1), 1.0), (RMSE, slice(1, 2), slice(1, 2), 1.0)])
    with pytest.raises(ConfigError, match="no head counts"):
        combine_metrics([(RMSE, slice(0, 1), slice(0, 1), 0.0)])
