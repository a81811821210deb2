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
    competition = replace(COMPETITION, heads=heads, submission=SubmissionFormat(id_column="id", columns=columns))
    measured = with_metrics(competition, asked)
    assert measured == competition
    return [[metric.name for metric in head.further_metrics] for head in measured.heads]


def test_a_head_is_measured_by_what_was_asked_for_beside_what_its_file_names() -> None:
    assert names(LABEL, asked=["accuracy", "auc", "log_loss"]) == [["auc", "accuracy"]]


def test_of_several_heads_those_are_measured_by_a_metric_that_it_can_score() -> None:
    assert names(LABEL, AGE, asked=["mae", "auc", "accuracy"]) == [["auc", "accuracy"], ["mae"]]


def test_a_metric_that_scores_no_head_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--metrics quadratic_kappa: head 'label': .*'quadratic_kappa'"):
        names(LABEL, asked=["quadratic_kappa"])
    with pytest.raises(ConfigError, match=r"Did you mean 'accuracy'"):
        names(LABEL, asked=["acuracy"])
