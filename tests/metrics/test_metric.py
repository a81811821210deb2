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
    RMSE,
    Metric,
    MetricPart,
    combine_metrics,
    jackknife,
    over_folds,
    own_target,
    per_fold,
)

RNG = np.random.default_rng(0)


def part(metric: Metric, target: int | slice, values: slice, *, weight: float = 1.0) -> MetricPart:
    return MetricPart(metric=metric, target=target, values=values, weight=weight)


def test_a_metric_per_fold_is_the_mean_over_the_folds() -> None:
    fold_of = np.arange(40) % 4
    target = RNG.integers(0, 2, 40)
    values = RNG.random((40, 1)).astype(np.float32)
    of_folds = [AUC.score(target[fold_of == fold], values[fold_of == fold]) for fold in range(4)]
    assert over_folds(per_fold(AUC), fold_of).score(target, values) == pytest.approx(np.mean(of_folds))
    assert over_folds(AUC, fold_of) is AUC
    assert AUC.score(target, values) != pytest.approx(np.mean(of_folds))


def test_a_metric_of_masks_per_fold_hangs_on_its_rows_as_any_other_metric_does() -> None:
    fold_of, target = np.array([0] * 15 + [1] * 5), (RNG.random((20, 30)) < 0.4).astype(np.uint8)
    target[:5], values = 0, RNG.random((20, 30)).astype(np.float32)
    by_rows, by_folds = per_fold(DICE), dataclasses.replace(per_fold(DICE), mean_over_rows=False)
    found, expected = (jackknife(metric, target, values, fold_of) for metric in (by_rows, by_folds))
    assert found.score == pytest.approx(over_folds(by_rows, fold_of).score(target, values))
    assert found.score != pytest.approx(jackknife(DICE, target, values, fold_of).score)
    assert found.without is not None
    assert expected.without is not None
    np.testing.assert_allclose(found.without, expected.without)


def test_each_mask_is_left_out_in_turn_of_a_score_of_masks() -> None:
    target, values = (RNG.random((6, 30)) < 0.4).astype(np.uint8), RNG.random((6, 30)).astype(np.float32)
    found = jackknife(DICE, target, values, np.zeros(6, dtype=np.int64))
    others = [np.delete(np.arange(6), row) for row in range(6)]
    assert found.without is not None
    np.testing.assert_allclose(found.without, [DICE.score(target[rows], values[rows]) for rows in others])


def test_the_weighted_mean_of_metrics_scores_each_in_its_own_columns() -> None:
    target = np.column_stack([np.arange(40) % 3, RNG.normal(size=40)])
    values = RNG.random((40, 4)).astype(np.float32)
    both = combine_metrics([part(LOG_LOSS, 0, slice(0, 3)), part(RMSE, 1, slice(3, 4), weight=3.0)])
    parts = LOG_LOSS.score(np.arange(40) % 3, values[:, :3]), RMSE.score(target[:, 1], values[:, 3:])
    assert both.score(target, values) == pytest.approx((parts[0] + 3 * parts[1]) / 4)
    assert both.name == "log_loss+rmse"
    assert [own_target(each, target).dtype.kind for each in both.parts] == ["i", "f"], "classes are integers again"
    assert not both.greater_is_better


def test_metrics_of_opposite_directions_are_not_combined() -> None:
    with pytest.raises(ConfigError, match=r"accuracy \(greater is better\), rmse \(smaller is better\)"):
        combine_metrics([part(ACCURACY, 0, slice(0, 1)), part(RMSE, 1, slice(1, 2))])
    with pytest.raises(ConfigError, match="no head counts"):
        combine_metrics([part(RMSE, 0, slice(0, 1), weight=0.0)])


@pytest.mark.parametrize("pooled_too", [False, True])
def test_of_several_heads_each_is_pooled_or_scored_by_fold_as_it_says_itself(pooled_too: bool) -> None:
    fold_of = np.arange(60) % 3
    target = RNG.integers(0, 2, (60, 2)).astype(np.float64)
    values = RNG.random((60, 2))
    other = AUC if pooled_too else per_fold(AUC)
    both = combine_metrics([part(per_fold(AUC), 0, slice(0, 1)), part(other, 1, slice(1, 2))])
    by_fold = [
        [AUC.score(target[fold_of == fold, column], values[fold_of == fold, column, None]) for fold in range(3)]
        for column in range(2)
    ]
    of_second = AUC.score(target[:, 1], values[:, 1:]) if pooled_too else np.mean(by_fold[1])
    assert not both.pooled
    assert over_folds(both, fold_of).score(target, values) == pytest.approx((np.mean(by_fold[0]) + of_second) / 2)
    assert both.score(target, values) != pytest.approx((np.mean(by_fold[0]) + of_second) / 2)


def test_several_heads_that_are_all_pooled_are_pooled() -> None:
    both = combine_metrics([part(AUC, 0, slice(0, 1)), part(AUC, 1, slice(1, 2))])
    assert over_folds(both, np.arange(4) % 2) is both


def test_a_single_label_among_several_heads_keeps_its_column() -> None:
    both = combine_metrics([part(AUC, 0, slice(0, 1)), part(F2, slice(1, 2), slice(1, 2))])
    target = np.array([[0, 1], [1, 0], [1, 1]])
    assert both.score(target, target.astype(np.float32)) == 1.0
