from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS, Metric
from kaggle_ray.train.further_metrics import FurtherMetrics
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.losses import Outputs
from kaggle_ray.train.ranks import ALONE, Alone, Ranks
from kaggle_ray.train.running import RunningPredictions, TrainScores
from kaggle_ray.types import EpochMetrics, IntArray, JsonValue, Target, TrialWarning

T = TypeVar("T")
HEAD = Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS, metrics=("accuracy", "recall"))
TARGET = np.array([0, 1, 1, 0, 1, 0, 0, 1])
ROWS = np.arange(len(TARGET))
PLAIN: Mapping[str, JsonValue] = {"model": "small_resnet", "model_args": {"width": 4}, "image_size": 8, "epochs": 2}


def data_of(*heads: Head, target: Target = TARGET) -> FitData:
    pixels = np.random.default_rng(0).integers(0, 256, (len(target), 8, 8, 3), dtype=np.uint8)
    return FitData(
        inputs=Inputs(images=Images.of_array(pixels)), target=target, heads=heads, metric=heads[0].metric,
        train_rows=ROWS[:6], valid_rows=ROWS[6:], fold=0, id_hashes=ROWS.astype(np.uint64),
    )  # fmt: skip


def history_of(data: FitData, warnings: list[TrialWarning] | None = None, **changed: JsonValue) -> list[EpochMetrics]:
    hyperparameters = parse_hyperparameters({**PLAIN, **changed}, where="here")
    settings = Settings(device="cpu", threads_per_trial=1, dtype="float32")
    return list(Fit(data, hyperparameters, settings, warn=([] if warnings is None else warnings).append).epochs())


def test_each_epoch_is_measured_by_all_metrics_in_training_and_in_validation() -> None:
    for epoch in history_of(data_of(HEAD)):
        assert epoch.metrics.keys() == epoch.train_metrics.keys() == {"accuracy", "recall"}
        assert epoch.train_score == pytest.approx(epoch.train_loss, rel=1e-5)  # the log loss of the same outputs


def test_metrics_change_nothing_of_what_is_trained() -> None:
    bare = dataclasses.replace(HEAD, metrics=())
    assert bare == HEAD
    losses = [[(m.train_loss, m.valid_loss) for m in history_of(data_of(head))] for head in (HEAD, bare)]
    assert losses[0] == losses[1]


def test_an_epoch_that_is_not_evaluated_and_rows_that_are_mixed_have_no_score_in_training() -> None:
    first, last = history_of(data_of(HEAD), evaluate_every=2)
    assert (first.train_score, first.metrics, first.train_metrics) == (None, {}, {})
    assert last.train_score is not None
    assert [epoch.train_score for epoch in history_of(data_of(HEAD), mixup=0.4)] == [None, None]


def test_metrics_of_several_heads_have_the_head_s_name_before_theirs() -> None:
    age = Head(name="age", task="regression", metric=LOG_LOSS, metrics=("mae",))
    kind = dataclasses.replace(HEAD, name="kind", metrics=("accuracy",))
    further = FurtherMetrics((kind, age), LOG_LOSS, lambda warning: None)
    target = np.stack([TARGET, 2.0 * TARGET], axis=1)
    values = np.stack([TARGET, 2.0 * TARGET + 0.5], axis=1).astype(np.float32)
    assert further.scores(target, values, epoch=1) == {"kind.accuracy": 1.0, "age.mae": 0.5}


def test_a_metric_that_fails_is_warned_of_once_and_the_trial_goes_on() -> None:
    def demanding(target: Target, values: np.ndarray[Any, Any]) -> float:
        if len(target) > 3:
            raise ZeroDivisionError("of a person's own metric")
        return 1.0

    own = Metric(name="demanding", score_fn=demanding, greater_is_better=True)
    warnings: list[TrialWarning] = []
    history = history_of(data_of(dataclasses.replace(HEAD, metrics=(own, "accuracy"))), warnings)
    assert [epoch.metrics["demanding"] for epoch in history] == [1.0, 1.0]
    assert [list(epoch.train_metrics) for epoch in history] == [["accuracy"]] * 2
    (text,) = (warning.text for warning in warnings if warning.topic == "metric_demanding")
    assert "the metric demanding cannot be measured" in text
    assert "of a person's own metric" in text


class WithAnother(Alone):
    """The first of two ranks, the other of which has kept ``others``."""

    def __init__(self, others: Any) -> None:
        self.others = others

    def gather(self, value: T) -> list[T]:
        return [value, self.others]


def test_scores_in_training_are_the_same_bits_whoever_trained_on_which_rows() -> None:
    data = data_of(HEAD)
    logits = torch.linspace(-3, 2, len(TARGET))[:, None]

    def scores(kept: list[IntArray], ranks: Ranks = ALONE) -> TrainScores:
        further = FurtherMetrics(data.heads, data.metric, lambda warning: None)
        running = RunningPredictions(
            data, Outputs(data.heads, TARGET), parse_hyperparameters(PLAIN, where="here"), further, ranks
        )
        running.begin(is_wanted=True)
        for rows in kept:
            running.add(rows, logits[rows])
        return running.scores(epoch=1)

    other = ROWS[[4, 1, 7]]
    alone = scores([ROWS[[5, 2, 0]], ROWS[[3, 6]], other])
    assert alone == scores([ROWS[[6, 5]], ROWS[[3, 0, 2]]], WithAnother((other, logits[other].sigmoid().numpy())))
    assert alone.metrics["accuracy"] == np.mean((logits[:, 0].numpy() > 0) == TARGET)
