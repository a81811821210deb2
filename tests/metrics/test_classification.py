from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import (
    ACCURACY,
    AUC,
    LOG_LOSS,
    MACRO_RECALL,
    METRICS,
    Metric,
    confusion_matrix,
    metric_by_name,
)
from kaggle_ray.types import FloatArray, IntArray


def column(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float32)[:, np.newaxis]


def labels(*values: int) -> IntArray:
    return np.array(values, dtype=np.int64)


def random_case(seed: int, num_columns: int) -> tuple[IntArray, FloatArray]:
    rng = np.random.default_rng(seed)
    target = np.arange(40) % max(num_columns, 2)
    values = rng.integers(0, 9, (40, num_columns)) / 8  # coarse, so that ties are frequent
    return rng.permutation(target), values.astype(np.float32)


def test_binary_accuracy_is_decided_above_one_half() -> None:
    assert ACCURACY.score(labels(1, 0, 0, 1), column(0.51, 0.5, 0.7, 0.9)) == 0.75


def test_multiclass_accuracy_takes_the_most_probable_class() -> None:
    values = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], dtype=np.float32)
    assert ACCURACY.score(labels(1, 1), values) == 0.5


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_binary_log_loss_agrees_with_scikit_learn(seed: int) -> None:
    target, values = random_case(seed, 1)
    expected = log_loss(target, np.clip(values[:, 0].astype(np.float64), 1e-15, 1 - 1e-15))
    assert LOG_LOSS.score(target, values) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_multiclass_log_loss_agrees_with_scikit_learn_on_renormalised_rows(seed: int) -> None:
    target, values = random_case(seed, 4)
    values += np.float32(0.01)
    rows = values.astype(np.float64)
    expected = log_loss(target, rows / rows.sum(axis=1, keepdims=True))
    assert LOG_LOSS.score(target, values) == pytest.approx(expected, rel=1e-12)


def test_log_loss_of_certain_float32_values_is_clipped_in_float64() -> None:
    assert LOG_LOSS.score(labels(1), column(0.0)) == pytest.approx(-np.log(1e-15), rel=1e-12)
    assert LOG_LOSS.score(labels(0), column(1.0)) == pytest.approx(-np.log(1e-15), rel=1e-4)


def test_log_loss_of_a_row_of_zeros_is_the_worst_there_is() -> None:
    assert LOG_LOSS.score(labels(2), np.zeros((1, 3), dtype=np.float32)) == pytest.approx(-np.log(1e-15))


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_auc_agrees_with_scikit_learn_with_ties(seed: int) -> None:
    target, values = random_case(seed, 1)
    assert AUC.score(target, values) == pytest.approx(roc_auc_score(target, values[:, 0]), rel=1e-12)


def test_auc_of_one_class_is_an_error() -> None:
    with pytest.raises(DataError, match="got 0 of class 0 and 2 of class 1"):
        AUC.score(labels(1, 1), column(0.1, 0.2))


def test_auc_of_several_columns_is_an_error() -> None:
    with pytest.raises(ConfigError, match="expected 1 column, got 3"):
        AUC.score(*random_case(0, 3))


@pytest.mark.parametrize(
    ("target", "values", "message"),
    [
        (labels(0, 1), column(0.1), r"got \(2,\) and \(1, 1\)"),
        (labels(), np.zeros((0, 1), dtype=np.float32), "N and C at least 1"),
        (labels(0), np.zeros(1, dtype=np.float32), r"values \(N, C\)"),
        (labels(0, 1), column(0.1, np.nan), "got nan in row 1, column 0"),
        (labels(0, 1), column(np.inf, 0.1), "got inf in row 0"),
        (labels(0, 2), column(0.1, 0.1), r"labels 0\.\.1 .* got 0\.\.2"),
        (labels(-1, 0), column(0.1, 0.1), r"got -1\.\.0"),
    ],
)
def test_score_rejects_what_cannot_be_scored(target: IntArray, values: FloatArray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ACCURACY.score(target, values)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "float32", "bool"])
@pytest.mark.parametrize("metric", [ACCURACY, LOG_LOSS, MACRO_RECALL, AUC])
def test_a_score_does_not_depend_on_the_type_of_the_class_numbers(metric: Metric, dtype: str) -> None:
    target, values = random_case(0, 1)
    assert metric.score(target.astype(dtype), values) == metric.score(target, values)
    if dtype != "bool" and metric is not AUC:
        target, values = random_case(1, 20)
        assert metric.score(target.astype(dtype), values) == metric.score(target, values)
        assert (confusion_matrix(target.astype(dtype), values, 20) == confusion_matrix(target, values, 20)).all()
        assert confusion_matrix(target.astype(dtype), values, 20).sum(axis=1).tolist() == [2] * 20


def test_numbers_between_two_classes_are_no_class() -> None:
    with pytest.raises(DataError, match=r"expected labels 0\.\.1 for values with 1 column, got 0\.0\.\.0\.5"):
        LOG_LOSS.score(np.array([0.0, 0.5]), column(0.1, 0.2))


def test_score_rejects_a_metric_that_returns_nan() -> None:
    broken = Metric(name="broken", score_fn=lambda target, values: float("nan"), greater_is_better=True)
    with pytest.raises(ConfigError, match="'broken': expected a finite score, got nan"):
        broken.score(labels(0), column(0.5))


def test_score_fn_is_given_float64() -> None:
    wide = Metric(name="wide", score_fn=lambda target, values: values.dtype.itemsize, greater_is_better=True)
    assert wide.score(labels(0), column(0.5)) == 8


def test_is_better_is_strict_and_follows_the_direction() -> None:
    assert ACCURACY.is_better(0.9, 0.8)
    assert LOG_LOSS.is_better(0.1, 0.2)
    assert not ACCURACY.is_better(0.5, 0.5)
    assert not LOG_LOSS.is_better(0.5, 0.5)


def test_every_registered_metric_is_found_by_its_name() -> None:
    assert all(metric_by_name(name) is metric and metric.name == name for name, metric in METRICS.items())


def test_a_misspelt_metric_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'log_loss'"):
        metric_by_name("logloss")


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_log_loss_and_auc_of_labels_are_the_means_over_the_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.permuted(np.tile(np.arange(20)[:, np.newaxis] % 2, (1, 3)), axis=0)
    values = (rng.integers(1, 9, (20, 3)) / 9).astype(np.float32)
    losses = [log_loss(target[:, label], values[:, label].astype(np.float64)) for label in range(3)]
    assert LOG_LOSS.score(target, values) == pytest.approx(np.mean(losses), rel=1e-6)
    assert AUC.score(target, values) == pytest.approx(roc_auc_score(target, values, average="macro"))


def test_labels_need_a_column_each() -> None:
    with pytest.raises(DataError, match=r"one shape \(N, labels\), got \(2, 3\) and \(2, 1\)"):
        LOG_LOSS.score(np.zeros((2, 3), dtype=np.int64), column(0.1, 0.2))
