"""Experiments of different folds are compared by their differences on the folds that they share."""

from __future__ import annotations

import numpy as np
import pytest

from kaggle_ray.schedule.effects import fold_adjusted

EASY, HARD = 0.0, 1.0


def test_with_all_folds_it_is_the_mean() -> None:
    assert fold_adjusted([{0: 1.0, 1: 3.0}, {0: 2.0, 1: 6.0}]) == pytest.approx([2.0, 4.0])


def test_an_experiment_with_the_easy_fold_alone_is_not_thereby_better() -> None:
    both, easy = {0: 0.5 + EASY, 1: 0.5 + HARD}, {0: 0.6 + EASY}
    assert fold_adjusted([both, easy]) == pytest.approx([1.0, 1.1])
    hard = {1: 0.4 + HARD}
    assert fold_adjusted([both, easy, hard]) == pytest.approx([1.0, 1.1, 0.9])


def test_experiments_that_share_no_fold_are_compared_through_others() -> None:
    adjusted = fold_adjusted([{0: 1.0}, {0: 1.5, 1: 2.5}, {1: 2.0, 2: 9.0}, {2: 9.5}])
    assert np.diff(adjusted) == pytest.approx([0.5, -0.5, 0.5])


def test_groups_that_share_no_fold_at_all_are_compared_as_they_are() -> None:
    adjusted = fold_adjusted([{0: 1.0}, {0: 1.2}, {1: 5.0}])
    assert adjusted[1] - adjusted[0] == pytest.approx(0.2)
    assert adjusted[2] > adjusted[1]


def test_what_has_no_finite_score_has_no_effect_and_disturbs_no_other() -> None:
    adjusted = fold_adjusted([{0: 1.0, 1: 2.0}, {}, {0: float("nan")}, {0: 2.0, 1: float("inf")}])
    assert np.isnan(adjusted).tolist() == [False, True, True, False]
    assert adjusted[3] - adjusted[0] == pytest.approx(1.0)
    assert np.isnan(fold_adjusted([{}, {}])).all()


def test_the_order_of_experiments_and_folds_changes_nothing() -> None:
    random = np.random.default_rng(0)
    scores = [
        {fold: float(random.normal()) for fold in range(5) if fold == 0 or random.random() < 0.5} for _ in range(9)
    ]
    order = random.permutation(len(scores))
    shuffled = [dict(reversed(scores[number].items())) for number in order]
    assert fold_adjusted(shuffled) == pytest.approx(fold_adjusted(scores)[order])
