from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kaggle_ray.data.baseline import check_directions, constant_predictions, mixed_predictions, perfect_predictions
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import ACCURACY, AUC, DICE, F2, LOG_LOSS, MEAN_IOU, QUADRATIC_KAPPA, R2, RMSE
from kaggle_ray.types import Target

RNG = np.random.default_rng(0)
KIND = Head(name="kind", task="multiclass", classes=("a", "b", "c"), metric=LOG_LOSS)
TAGS = Head(name="tags", task="multilabel", classes=("x", "y"), metric=LOG_LOSS)
AGE = Head(name="age", task="regression", metric=RMSE)
BINARY = Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS)
PIXELS = Head(task="segmentation", classes=("ground", "road", "car"), metric=MEAN_IOU)
MASK = Head(task="segmentation", classes=("car",), metric=DICE)
SEVERAL = np.array([[0, 1, 0, 10.0], [2, 1, 1, 20.0], [2, 0, 0, 30.0], [1, 0, 1, 40.0]])
CASES: list[tuple[Head, Target]] = [
    (dataclasses.replace(BINARY, metric=ACCURACY), np.arange(40) % 2),
    (BINARY, np.arange(40) % 2),
    (dataclasses.replace(BINARY, metric=AUC), np.arange(40) % 2),
    (dataclasses.replace(KIND, metric=ACCURACY), np.arange(40) % 3),
    (KIND, np.arange(40) % 3),
    (dataclasses.replace(TAGS, metric=F2), RNG.integers(0, 2, (40, 2))),
    (AGE, RNG.normal(size=40)),
    (MASK, RNG.integers(0, 2, (40, 25)).astype(np.uint8)),
    (PIXELS, RNG.integers(0, 3, (40, 25)).astype(np.uint8)),
]


@pytest.mark.parametrize(("head", "target"), CASES)
def test_a_wrongly_declared_direction_is_caught(head: Head, target: Target) -> None:
    check_directions([head], target)
    metric = head.metric
    wrong = dataclasses.replace(metric, greater_is_better=not metric.greater_is_better)
    with pytest.raises(ConfigError, match=f"{metric.name}.*Declare greater_is_better={metric.greater_is_better}"):
        check_directions([dataclasses.replace(head, metric=wrong)], target)


def test_a_wrongly_declared_direction_is_caught_in_any_head() -> None:
    check_directions([KIND, TAGS, AGE], SEVERAL)
    wrong = dataclasses.replace(AGE, metric=dataclasses.replace(RMSE, greater_is_better=True))
    with pytest.raises(ConfigError, match="greater_is_better=False"):
        check_directions([KIND, TAGS, wrong], SEVERAL)


@pytest.mark.parametrize(
    ("head", "target", "told"),
    [
        (AGE, np.full(20, 3.5), "20 training rows have the same target, 3.5:"),
        (dataclasses.replace(AGE, metric=R2), np.zeros(20), "20 training rows have the same target, 0:"),
        (AGE, np.array([-1e29]), "1 training row has the same target, -1e[+]29:"),
        (dataclasses.replace(AGE, metric=QUADRATIC_KAPPA), np.full(9, 2.0), "same target, 2:"),
        (BINARY, np.ones(9, dtype=np.int64), "same target, 1:"),
        (dataclasses.replace(TAGS, metric=F2), np.zeros((9, 2), dtype=np.int64), "same target, 0 0:"),
        (MASK, np.zeros((5, 25), dtype=np.uint8), r"same target, 0 0 0 0 0 0 0 0 0 0 \.\.\.:"),
    ],
)
def test_a_target_that_is_the_same_in_all_rows_is_told_as_such(head: Head, target: Target, told: str) -> None:
    with pytest.raises(DataError, match=told):
        check_directions([head], target)


@pytest.mark.parametrize(("head", "target"), CASES)
def test_perfect_predictions_score_perfectly(head: Head, target: Target) -> None:
    score = head.metric.score(target, perfect_predictions(head, target))
    assert score == pytest.approx(1.0 if head.metric.greater_is_better else 0.0, abs=1e-6)


def test_the_constant_predictions_are_frequencies_means_and_the_mean_mask() -> None:
    four = dataclasses.replace(KIND, classes=("a", "b", "c", "d"))
    assert constant_predictions([BINARY], np.array([0, 1, 1, 1]), 2).tolist() == [[0.75], [0.75]]
    assert constant_predictions([four], np.array([0, 2, 2, 2]), 1).tolist() == [[0.25, 0.0, 0.75, 0.0]]
    assert constant_predictions([TAGS], np.array([[1, 0], [1, 1]]), 1).tolist() == [[1.0, 0.5]]
    assert constant_predictions([AGE], np.array([1.0, 4.0]), 1).tolist() == [[2.5]]
    masks = np.array([[0, 1, 2], [0, 2, 2]], dtype=np.uint8)
    assert constant_predictions([PIXELS], masks, 1).tolist() == [[1, 0, 0, 0, 0.5, 0, 0, 0.5, 1]]


def test_the_constant_predictions_of_several_heads_lie_side_by_side() -> None:
    assert constant_predictions([KIND, TAGS, AGE], SEVERAL, 2).tolist() == [[0.25, 0.25, 0.5, 0.5, 0.5, 25.0]] * 2


def test_many_constant_rows_take_the_memory_of_one() -> None:
    many = constant_predictions([MASK], np.ones((2, 1000), dtype=np.uint8), 10**6)
    assert many.shape == (10**6, 1000)
    assert many.strides[0] == 0


@pytest.mark.parametrize(("head", "target"), CASES)
def test_mixed_predictions_lie_between_the_perfect_ones_and_differ_from_row_to_row(head: Head, target: Target) -> None:
    mixed, perfect = mixed_predictions([head], target), perfect_predictions(head, target)
    assert mixed.shape == perfect.shape
    assert ((mixed >= perfect.min(axis=0) - 1e-6) & (mixed <= perfect.max(axis=0) + 1e-6)).all()
    assert len(np.unique(mixed.round(4), axis=0)) > len(target) / 4
    if head.task == "multiclass":
        assert mixed.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(mixed, mixed_predictions([head], target))


def test_mixed_predictions_of_several_heads_lie_side_by_side() -> None:
    assert mixed_predictions([KIND, TAGS, AGE], SEVERAL).shape == (4, 6)
