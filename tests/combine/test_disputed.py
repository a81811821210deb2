"""Masks are selected by the pixels on which the members are not of one mind."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kaggle_ray.combine import disputed
from kaggle_ray.combine.disputed import BestMask
from kaggle_ray.combine.greedy import greedy_weights
from kaggle_ray.decide import Decision, decided
from kaggle_ray.metrics import DICE, MEAN_AP_IOU, Metric
from kaggle_ray.metrics.segmentation import dice_of
from kaggle_ray.types import ByteArray, FloatArray

CUT_LOW = decided(DICE, Decision(kind="mask", parameters={"threshold": 0.375, "min_pixels": 30}))


def masks(num_images: int = 40, num_pixels: int = 64) -> tuple[ByteArray, list[FloatArray]]:
    """Return true masks, one of which is empty, and members of which each blurs them in its own way."""
    rng = np.random.default_rng(0)
    target = (np.arange(num_pixels) < rng.integers(1, num_pixels, (num_images, 1))).astype(np.uint8)
    target[3] = 0
    members = [np.clip(target + rng.normal(0, noise, target.shape), 0, 1) for noise in (0.6, 0.5, 0.45, 0.4)]
    return target, [member.astype(np.float32) for member in members]


@pytest.mark.parametrize("metric", [DICE, MEAN_AP_IOU, CUT_LOW], ids=["dice", "mean_ap_iou", "small ones empty"])
def test_the_same_masks_are_selected_as_by_scoring_each_mean(metric: Metric) -> None:
    target, members = masks()
    each_mean = dataclasses.replace(metric, score_of_counts=None)
    weights = greedy_weights(members, target, metric)
    assert weights.tolist() == greedy_weights(members, target, each_mean).tolist()
    assert (weights > 0).sum() > 1


def test_the_score_that_is_told_of_a_mean_is_its_own() -> None:
    target, members = masks()
    best = BestMask(members, target, DICE, dice_of)
    index, score = best(np.array([0, 2, 1, 0]))
    mean = (2 * members[1].astype(np.float64) + members[2] + members[index]) / 4
    assert score == pytest.approx(DICE.score(target, mean.astype(np.float32)), abs=1e-12)


def test_of_too_many_pixels_as_many_images_are_held_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    target, members = masks(num_images=400)
    alone = BestMask(members, target, DICE, dice_of)(np.zeros(4, dtype=np.int64))
    monkeypatch.setattr(disputed, "_MOST_VALUES", 4 * 2000)
    monkeypatch.setattr("kaggle_ray.rows._BLOCK_VALUES", 64)
    sampled = BestMask(members, target, DICE, dice_of)(np.zeros(4, dtype=np.int64))
    assert sampled[0] == alone[0] == 3, "the least noisy one"
    assert sampled[1] != alone[1]
    assert sampled[1] == pytest.approx(alone[1], abs=0.03)
