"""Labels, numbers and masks, against scikit-learn or the definition written out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    cohen_kappa_score,
    fbeta_score,
    jaccard_score,
    mean_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from kaggle_ray.errors import DataError
from kaggle_ray.metrics import DICE, F2, MAE, MEAN_AP_IOU, MEAN_IOU, QUADRATIC_KAPPA, R2, RMSE, Metric, f_beta
from kaggle_ray.types import FloatArray, Target

SEEDS = st.integers(0, 10**6)


def random_labels(seed: int) -> tuple[Target, FloatArray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, (30, 4)), rng.random((30, 4)).astype(np.float32)


def random_masks(seed: int, num_pixels: int = 64) -> tuple[Target, FloatArray]:
    """Return masks that overlap to every degree, some of them empty."""
    rng = np.random.default_rng(seed)
    target = (rng.random((40, num_pixels)) < rng.choice([0, 0.3, 0.9], (40, 1))).astype(np.uint8)
    flips = rng.random((40, num_pixels)) < rng.choice([0, 0.05, 0.3, 1.0], (40, 1))
    values = np.where(flips, 1 - target, target) * 0.8 + 0.1
    values[rng.random(40) < 0.2] = 0
    return target, values.astype(np.float32)


# Labels -------------------------------------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=30)
def test_f_beta_agrees_with_scikit_learn(seed: int, beta: float) -> None:
    target, values = random_labels(seed)
    target[:, 0] |= target.sum(axis=1) == 0  # a row without labels is a convention, see below
    expected = fbeta_score(target, values > 0.5, beta=beta, average="samples", zero_division=0)
    assert f_beta(beta).score(target, values) == pytest.approx(expected)


def test_a_row_without_labels_is_right_if_none_are_named() -> None:
    target = np.array([[0, 0], [0, 0], [1, 0]])
    values = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.1]], dtype=np.float32)
    assert F2.score(target, values) == pytest.approx(1 / 3)


# Numbers ------------------------------------------------------------------------------------------------------------


@given(SEEDS)
@settings(max_examples=30)
def test_errors_of_numbers_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(50, 20, 40)
    values = (target + rng.normal(0, 10, 40))[:, np.newaxis].astype(np.float32)
    flat = values[:, 0].astype(np.float64)
    assert RMSE.score(target, values) == pytest.approx(root_mean_squared_error(target, flat))
    assert MAE.score(target, values) == pytest.approx(mean_absolute_error(target, flat))
    assert R2.score(target, values) == pytest.approx(r2_score(target, flat))


@given(SEEDS)
@settings(max_examples=30)
def test_quadratic_kappa_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(50) % 5)
    probabilities = rng.random((50, 5)).astype(np.float32)
    expected = cohen_kappa_score(target, probabilities.argmax(axis=1), weights="quadratic")
    assert QUADRATIC_KAPPA.score(target, probabilities) == pytest.approx(expected)
    ratings = np.clip(target + rng.integers(-2, 3, 50), 0, 4)
    expected = cohen_kappa_score(target, ratings, weights="quadratic")
    assert QUADRATIC_KAPPA.score(target, ratings[:, np.newaxis].astype(np.float32)) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32", "int64"])
def test_quadratic_kappa_does_not_depend_on_the_type_of_the_grades_nor_on_how_they_stand(dtype: str) -> None:
    rng = np.random.default_rng(0)
    target = rng.permutation(np.arange(50) % 5)
    probabilities = rng.random((50, 5)).astype(np.float32)
    grades = np.clip(target + rng.integers(-1, 2, 50), 0, 4).astype(np.float32)[:, np.newaxis]
    for values in (probabilities, grades):
        assert QUADRATIC_KAPPA.score(target.astype(dtype), values) == QUADRATIC_KAPPA.score(target, values)
    one_column = target.astype(dtype)[:, np.newaxis]
    assert QUADRATIC_KAPPA.score(one_column, grades) == QUADRATIC_KAPPA.score(target, grades) > 0.5
    with pytest.raises(DataError, match=r"expected target \(N,\) and values \(N, C\), got \(50, 1\) and \(50, 5\)"):
        QUADRATIC_KAPPA.score(one_column, probabilities)


@pytest.mark.parametrize("metric", [RMSE, MAE, R2])
def test_errors_of_numbers_need_one_value_for_each(metric: Metric) -> None:
    target = np.array([1.0, 2.0, 4.0])
    values = target.astype(np.float32)[:, np.newaxis]
    assert metric.score(target[:, np.newaxis], values) == metric.score(target.astype(np.uint8), values)
    with pytest.raises(DataError, match=rf"metric '{metric.name}': expected a number for each value"):
        metric.score(target, np.zeros((3, 2), dtype=np.float32))


@pytest.mark.parametrize("scale", [1e-20, 1.0, -1e6, 1e30])
def test_errors_of_numbers_of_any_size_are_finite(scale: float) -> None:
    target = scale * np.array([1.0, 2.0, 4.0])
    values = (scale * np.array([[1.0], [2.0], [3.0]])).astype(np.float32)
    assert RMSE.score(target, values) == pytest.approx(abs(scale) / 3**0.5)
    assert MAE.score(target, values) == pytest.approx(abs(scale) / 3)
    assert R2.score(target, values) == pytest.approx(1 - 1 / (14 / 3))


def test_no_share_of_a_constant_targets_variance_is_explained() -> None:
    assert R2.score(np.full(3, 0.1), np.array([[0.1], [5.0], [-1.0]], dtype=np.float32)) == 0


# Masks --------------------------------------------------------------------------------------------------------------


def dice_as_defined(target: Target, values: FloatArray) -> float:
    scores = []
    for true, value in zip(target, values, strict=True):
        a = {pixel for pixel, is_there in enumerate(true) if is_there}
        b = {pixel for pixel, probability in enumerate(value) if probability > 0.5}
        scores.append(2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0)
    return sum(scores) / len(scores)


def average_precision_as_defined(target: Target, values: FloatArray) -> float:
    scores = []
    for true, value in zip(target, values, strict=True):
        a = {pixel for pixel, is_there in enumerate(true) if is_there}
        b = {pixel for pixel, probability in enumerate(value) if probability > 0.5}
        hits = 0.0
        for number in range(10):
            threshold = Fraction(10 + number, 20)
            if not a or not b:
                hits += not a and not b
            else:
                hits += Fraction(len(a & b), len(a | b)) > threshold
        scores.append(hits / 10)
    return sum(scores) / len(scores)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_dice_and_precision_over_iou_are_as_defined(seed: int) -> None:
    target, values = random_masks(seed)
    assert DICE.score(target, values) == pytest.approx(dice_as_defined(target, values))
    assert MEAN_AP_IOU.score(target, values) == pytest.approx(average_precision_as_defined(target, values))


@pytest.mark.parametrize(
    ("target", "value", "dice", "precision"),
    [
        ([0, 0], [0, 0], 1, 1),
        ([0, 0], [1, 0], 0, 0),
        ([1, 0], [0, 0], 0, 0),
        ([1, 1], [1, 0], 2 / 3, 0.0),
        ([0, 0], [0.5, 0], 1, 1),
    ],
)
def test_empty_masks_are_right_or_wrong(target: list[int], value: list[float], dice: float, precision: float) -> None:
    true, values = np.array([target], dtype=np.uint8), np.array([value], dtype=np.float32)
    assert DICE.score(true, values) == pytest.approx(dice)
    assert MEAN_AP_IOU.score(true, values) == precision


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_mean_iou_of_classes_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, (5, 50)).astype(np.uint8)
    values = rng.random((5, 150)).astype(np.float32)
    predicted = values.reshape(5, 3, 50).argmax(axis=1)
    expected = [jaccard_score(true, answer, average="macro") for true, answer in zip(target, predicted, strict=True)]
    assert MEAN_IOU.score(target, values) == pytest.approx(np.mean(expected))


def test_a_class_that_is_in_neither_mask_is_right() -> None:
    target = np.array([[0, 1, 1, 0]], dtype=np.uint8)
    answer = np.array([[0, 1, 0, 0]])
    values = (answer[:, np.newaxis] == np.arange(3)[:, np.newaxis]).reshape(1, -1).astype(np.float32)
    assert MEAN_IOU.score(target, values) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_a_number_is_the_grade_that_it_is_nearest_to() -> None:
    numbers = np.array([[0.4], [1.4], [1.6]], dtype=np.float32)
    assert QUADRATIC_KAPPA.score(np.arange(3), numbers) == 1.0
    assert QUADRATIC_KAPPA.score(np.ones(2, dtype=np.int64), numbers[:2] * 0 + 1) == 1.0, "all are of one grade"


def test_masks_of_another_size_are_an_error() -> None:
    with pytest.raises(DataError, match=r"one shape \(N, pixels\), got \(1, 4\) and \(1, 5\)"):
        DICE.score(np.zeros((1, 4), dtype=np.uint8), np.zeros((1, 5), dtype=np.float32))
