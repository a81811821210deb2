"""The rule for masks: what is counted once is what each threshold would find, and no lucky rule wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kaggle_ray.decide import Decision, decided, default_decision, fit_decision
from kaggle_ray.decide.masks import MaskCounts, count_masks, fit_counted
from kaggle_ray.metrics import DICE
from kaggle_ray.types import Float64Array, FloatArray, IntArray, Target

THRESHOLDS = np.arange(4, 13) / 16


def masks(seed: int) -> tuple[Target, FloatArray]:
    """Return masks, and probabilities of which many are exactly a threshold."""
    rng = np.random.default_rng(seed)
    target = (rng.random((20, 300)) < 0.3).astype(np.uint8)
    steps = np.clip(10 * target + rng.integers(-14, 33, target.shape), 0, 32)
    return target, steps.astype(np.float32) / np.float32(32)


def test_counts_are_those_of_each_threshold_by_itself() -> None:
    target, values = masks(0)
    counts = count_masks(255 * target, values)
    assert (counts.num_true == target.sum(axis=1)).all()
    for place, threshold in enumerate(THRESHOLDS):
        is_above = values > threshold
        assert (counts.num_cut[:, place] == is_above.sum(axis=1)).all()
        assert (counts.num_both[:, place] == (is_above & (target == 1)).sum(axis=1)).all()


def test_counts_of_some_images_are_those_of_these_alone() -> None:
    target, values = masks(2)
    rows = np.array([7, 3])
    some, alone = count_masks(target, values).of_rows(rows), count_masks(target[rows], values[rows])
    for name in ("num_true", "num_cut", "num_both"):
        assert (getattr(some, name) == getattr(alone, name)).all()


def test_a_pixel_at_the_threshold_is_none_of_the_mask_and_a_mask_of_the_least_size_stays() -> None:
    values = np.array([[0.5, 0.75, 0.75, 0.25], [0.5, 0.75, 0.5, 0.25]], dtype=np.float32)
    target = (values > 0.5).astype(np.uint8)
    rule = Decision(kind="mask", parameters={"threshold": 0.5, "min_pixels": 2})
    assert rule.apply(values).tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]
    assert DICE.score_of_counts is not None
    of_counts = count_masks(target, values).scores(DICE.score_of_counts, rule)
    assert of_counts is not None
    assert of_counts.tolist() == DICE.row_scores(target, rule.apply(values)).tolist() == [1, 0]
    assert decided(DICE, rule).cut_at == 0.5
    assert rule.enlarged(4).min_pixels == 8


def test_without_a_fit_the_threshold_is_the_metrics() -> None:
    unfitted = default_decision(replace(DICE, default_threshold=0.3), 4)
    assert (unfitted.threshold, unfitted.min_pixels) == (0.3, 0)


def test_the_rule_is_the_same_of_a_score_and_of_a_loss() -> None:
    target, values = masks(1)
    score_of_counts = DICE.score_of_counts
    assert score_of_counts is not None

    def loss_of_counts(num_true: IntArray, num_cut: IntArray, num_both: IntArray) -> Float64Array:
        return 1 - score_of_counts(num_true, num_cut, num_both)

    loss = replace(DICE, greater_is_better=False, score_of_counts=loss_of_counts)
    assert fit_decision(loss, target, values) == fit_decision(DICE, target, values)


def fitted_to(scores: list[float]) -> float:
    """Return the threshold that is taken where the thresholds have these scores, whatever is taken for empty."""

    def score_of(num_true: IntArray, num_cut: IntArray, num_both: IntArray) -> Float64Array:
        return np.array(scores)[num_cut - 1]

    numbered = np.arange(1, 10)[np.newaxis]
    counts = MaskCounts(num_pixels=1, num_true=np.array([1]), num_cut=numbered, num_both=numbered)
    return fit_counted(score_of, counts, greater_is_better=True).threshold


@pytest.mark.parametrize(
    ("scores", "threshold"),
    [
        ([0.5, 0.5, 0.8, 0.8, 0.8, 0.5, 0.9, 0.5, 0.5], 7 / 16),  # no lucky one
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], 4 / 16),  # the first is no worse off for having no neighbour
        ([0.5] * 9, 0.5),
        ([0.5 + 1e-9] + [0.5] * 8, 0.5),  # alike but for rounding
    ],
)
def test_the_best_threshold_is_that_of_its_neighbourhood(scores: list[float], threshold: float) -> None:
    assert fitted_to(scores) == threshold
