from __future__ import annotations

from dataclasses import replace

import pytest

from kaggle_ray.data.further_metrics import with_metrics
from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import LOG_LOSS, RMSE
from kaggle_ray.testing.toy import CLASSES, COMPETITION

LABEL = Head(task="binary", classes=CLASSES, metric=LOG_LOSS, name="label", metrics=("auc",))
AGE = Head(task="regression", metric=RMSE, name="age")


def names(*heads: Head, asked: list[str]) -> list[list[str]]:
    columns = tuple(head.name for head in heads)
    submission = SubmissionFormat(id_column="id", columns=columns, cells="numbers")
    competition = replace(COMPETITION, heads=heads, submission=submission)
    measured = with_metrics(competition, asked)
    assert measured == competition
    return [[metric.name for metric in head.further_metrics] for head in measured.heads]


def test_a_head_is_measured_by_what_was_asked_for_beside_what_its_file_names() -> None:
    assert names(LABEL, asked=["accuracy", "auc", "log_loss"]) == [["auc", "accuracy"]]


def test_of_several_heads_the_one_is_named_before_its_metric() -> None:
    assert names(LABEL, AGE, asked=["age.mae", "label.accuracy"]) == [["auc", "accuracy"], ["mae"]]
    with pytest.raises(ConfigError, match=r"--metrics mae: expected HEAD.METRIC, .* Known: age, label"):
        names(LABEL, AGE, asked=["mae"])
    with pytest.raises(ConfigError, match=r"Did you mean 'label'"):
        names(LABEL, AGE, asked=["lable.auc"])


def test_a_metric_that_does_not_score_the_head_or_is_misspelt_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"head 'label': the metric 'mean_iou' does not score a binary task"):
        names(LABEL, asked=["mean_iou"])
    with pytest.raises(ConfigError, match=r"Did you mean 'accuracy'"):
        names(LABEL, asked=["acuracy"])
