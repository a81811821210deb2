from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import (
    ACCURACY,
    AUC,
    DICE,
    F2,
    LOG_LOSS,
    MEAN_IOU,
    RMSE,
    Metric,
    baseline_predictions,
    check_direction,
    combine_metrics,
    over_folds,
    per_fold,
    perfect_predictions,
)
from kaggle_ray.types import Target, Task

RNG = np.random.default_rng(0)
CASES: list[tuple[Metric, Task, Target, int]] = [
    (ACCURACY, "binary", np.arange(40) % 2, 1),
    (LOG_LOSS, "binary", np.arange(40) % 2, 1),
    (AUC, "binary", np.arange(40) % 2, 1),
    (ACCURACY, "multiclass", np.arange(40) % 3, 3),
    (LOG_LOSS, "multiclass", np.arange(40) % 3, 3),
    (F2, "multilabel", RNG.integers(0, 2, (40, 4)), 4),
    (RMSE, "regression", RNG.normal(size=40), 1),
    (DICE, "segmentation", RNG.integers(0, 2, (40, 25)).astype(np.uint8), 1),
    (MEAN_IOU, "segmentation", RNG.integers(0, 3, (40, 25)).astype(np.uint8), 3),
]


@pytest.mark.parametrize(("metric", "task", "target", "num_outputs"), CASES)
def test_a_wrongly_declared_direction_is_caught(metric: Metric, task: Task, target: Target, num_outputs: int) -> None:
    check_direction(metric, task, target, num_outputs)
    wrong = dataclasses.replace(metric, greater_is_better=not metric.greater_is_better)
    with pytest.raises(ConfigError, match=f"{metric.name}.*Declare greater_is_better={metric.greater_is_better}"):
        check_direction(wrong, task, target, num_outputs)


def test_the_constant_predictions_are_frequencies_means_and_the_mean_mask() -> None:
    assert baseline_predictions("binary", np.array([0, 1, 1, 1]), 1, 2).tolist() == [[0.75], [0.75]]
    assert baseline_predictions("multiclass", np.array([0, 2, 2, 2]), 4, 1).tolist() == [[0.25, 0.0, 0.75, 0.0]]
    assert baseline_predictions("multilabel", np.array([[1, 0], [1, 1]]), 2, 1).tolist() == [[1.0, 0.5]]
    assert baseline_predictions("regression", np.array([1.0, 4.0]), 1, 1).tolist() == [[2.5]]
    masks = np.array([[0, 1, 2], [0, 2, 2]], dtype=np.uint8)
    assert baseline_predictions("segmentation", masks, 3, 1).tolist() == [[1, 0, 0, 0, 0.5, 0, 0, 0.5, 1]]


def test_many_constant_rows_take_the_memory_of_one() -> None:
    many = baseline_predictions("segmentation", np.ones((2, 1000), dtype=np.uint8), 1, 10**6)
    assert many.shape == (10**6, 1000)
    assert many.strides[0] == 0


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


def test_perfect_predictions_score_perfectly() -> None:
    for metric, task, target, num_outputs in CASES:
        score = metric.score(target, perfect_predictions(task, target, num_outputs))
        assert score == pytest.approx(1.0 if metric.greater_is_better else 0.0, abs=1e-6)
