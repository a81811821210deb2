from __future__ import annotations

import re

import numpy as np
import pytest

from kaggle_ray.counted import counted
from kaggle_ray.data.baseline import target_of
from kaggle_ray.data.head import Head, check_heads, metric_of, place_heads
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import ACCURACY, LOG_LOSS, metric_by_name
from kaggle_ray.types import Task

RMSE = metric_by_name("rmse")
KIND = Head(name="kind", task="multiclass", classes=("a", "b", "c"), metric=LOG_LOSS)
TAGS = Head(name="tags", task="multilabel", classes=("x", "y"), metric=LOG_LOSS)
AGE = Head(name="age", task="regression", metric=RMSE, score_weight=3.0)
TARGET = np.array([[0, 1, 0, 10.0], [2, 1, 1, 20.0], [2, 0, 0, 30.0], [1, 0, 1, 40.0]])


@pytest.mark.parametrize(
    ("task", "classes", "message"),
    [
        ("binary", ("a",), "a binary task has 2 classes, got 1"),
        ("binary", ("a", "b", "c"), "a binary task has 2 classes, got 3"),
        ("multiclass", ("a",), "a multiclass task has 2 or more classes, got 1"),
        ("multilabel", (), "a multilabel task has 1 or more classes, got 0"),
        ("regression", ("a",), "a regression task has no classes, got 1"),
        ("segmentation", (), "a segmentation task has 1 or more classes, got 0"),
        ("segmentatoin", ("a",), "there is no task 'segmentatoin'. Did you mean 'segmentation'?"),
    ],
)
def test_a_heads_classes_have_to_suit_its_task(task: Task, classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?").replace(".", r"\.")):
        Head(task=task, classes=classes, metric=LOG_LOSS)


def test_a_name_in_the_place_of_a_metric_is_refused_with_what_returns_one() -> None:
    with pytest.raises(ConfigError, match=r"got 'log_loss'.*metric=metric_by_name\('log_loss'\)"):
        Head(task="binary", classes=("a", "b"), metric="log_loss")  # type: ignore[arg-type]


def test_heads_lie_side_by_side() -> None:
    placed = place_heads([KIND, TAGS, AGE])
    assert [(place.outputs.start, place.outputs.stop) for place in placed] == [(0, 3), (3, 5), (5, 6)]
    assert [(place.targets.start, place.targets.stop) for place in placed] == [(0, 1), (1, 3), (3, 4)]
    assert target_of(placed[0], TARGET)[:].tolist() == [0, 2, 2, 1]
    assert target_of(placed[0], TARGET)[:].dtype == np.int64
    assert target_of(placed[1], TARGET)[:].tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]
    assert target_of(placed[2], TARGET)[:].tolist() == [10, 20, 30, 40]


def test_the_score_of_several_heads_is_their_weighted_mean() -> None:
    values = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    placed = place_heads([KIND, TAGS, AGE])
    parts = [place.head.metric.score(target_of(place, TARGET), values[:, place.outputs]) for place in placed]
    assert metric_of([KIND, TAGS, AGE]).score(TARGET, values) == pytest.approx((parts[0] + parts[1] + 3 * parts[2]) / 5)


def test_heads_of_opposite_directions_have_no_common_score() -> None:
    other = Head(name="other", task="multiclass", classes=("a", "b"), metric=ACCURACY)
    with pytest.raises(ConfigError, match="direction"):
        check_heads([KIND, other], where="x")


def test_names_of_heads_differ_and_masks_stand_alone() -> None:
    with pytest.raises(ConfigError, match="each with a name of its own"):
        check_heads([KIND, KIND], where="x")
    mask = Head(name="mask", task="segmentation", classes=("car",), metric=metric_by_name("dice"))
    with pytest.raises(ConfigError, match="a segmentation head stands alone"):
        check_heads([mask, AGE], where="x")


@pytest.mark.parametrize(
    ("metric", "classes"),
    [
        ("accuracy", ("car",)),
        ("quadratic_kappa", ("car",)),
        ("f2", ("car",)),
        ("accuracy", ("ground", "car")),
        ("dice", ("ground", "car")),
    ],
)
def test_masks_have_no_metric_whose_rule_is_not_of_pixels(metric: str, classes: tuple[str, ...]) -> None:
    masks = f"masks of {counted(len(classes), 'class')} are dec"
    with pytest.raises(ConfigError, match=rf"metric '{metric}' decides by .*; {masks}"):
        Head(task="segmentation", classes=classes, metric=metric_by_name(metric))


@pytest.mark.parametrize(("metric", "classes"), [("dice", ("car",)), ("mean_iou", ("car",)), ("mean_iou", ("a", "b"))])
def test_masks_have_a_metric_that_cuts_them_or_takes_the_most_probable_class(
    metric: str, classes: tuple[str, ...]
) -> None:
    head = Head(task="segmentation", classes=classes, metric=metric_by_name(metric))
    assert head.num_outputs == len(classes)


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (Head(task="binary", classes=("a", "b"), metric=LOG_LOSS, metrics=("accuracy", "f1", "auc")),
         ["accuracy", "f1", "auc"]),
        (Head(task="multiclass", classes=("a", "b", "c"), metric=LOG_LOSS, metrics=(ACCURACY, "macro_precision")),
         ["accuracy", "macro_precision"]),
        (Head(task="multilabel", classes=("a",), metric=LOG_LOSS, metrics=("micro_recall", "f2", "precision")),
         ["micro_recall", "f2", "precision"]),
        (Head(task="regression", metric=RMSE, metrics=("mae", "quadratic_kappa")), ["mae", "quadratic_kappa"]),
        (Head(task="segmentation", classes=("a",), metric=metric_by_name("dice"), metrics=("mean_iou",)),
         ["mean_iou"]),
        (Head(task="segmentation", classes=("a", "b", "c"), metric=metric_by_name("mean_iou")), []),
    ],
)  # fmt: skip
def test_a_head_has_further_metrics_by_name_or_as_they_are(head: Head, names: list[str]) -> None:
    assert [metric.name for metric in head.further_metrics] == names


def test_labels_are_each_named_above_a_threshold_whatever_else_a_metric_is_for() -> None:
    head = Head(task="multilabel", classes=("x", "y"), metric=LOG_LOSS, metrics=("macro_f1", "f2"))
    assert [metric.decision for metric in head.further_metrics] == ["label_thresholds"] * 2


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (("acuracy",), "Did you mean 'accuracy'"),
        (("log_loss",), "names other than log_loss, score, loss, each once, got 'log_loss'"),
        (("accuracy", ACCURACY), "each once, got 'accuracy'"),
        (("auc",), "the metric 'auc' does not score a multiclass task. metric 'auc' is for binary tasks"),
        (("dice",), "the metric 'dice' does not score a multiclass task"),
    ],
)
def test_further_metrics_that_say_nothing_of_a_head_are_named(metrics: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Head(task="multiclass", classes=("a", "b", "c"), metric=LOG_LOSS, metrics=metrics)


def test_only_a_number_has_a_scale_and_an_unknown_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"head 'target': unknown scale 'log1'\. Did you mean 'log1p'\?"):
        Head(task="regression", metric=RMSE, scale="log1")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"head 'target': a scale is for numbers, got 'log' of a binary task"):
        Head(task="binary", classes=("a", "b"), metric=LOG_LOSS, scale="log")
