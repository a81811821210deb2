from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from kaggle_ray.decide import default_score, fit_decision
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import F1, PRECISION, RECALL, metric_by_name
from kaggle_ray.types import FloatArray, IntArray

OF_SKLEARN = {"precision": precision_score, "recall": recall_score, "f1": f1_score}


def class_case(seed: int, num_classes: int) -> tuple[IntArray, FloatArray]:
    rng = np.random.default_rng(seed)
    return rng.permutation(np.arange(40) % num_classes), rng.random((40, num_classes)).astype(np.float32)


def label_case(seed: int) -> tuple[IntArray, FloatArray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, (30, 4))
    target[0] = 1  # so that each label, and each row below, has what scikit-learn divides by
    target[:, 0] = 1
    values = rng.random((30, 4)).astype(np.float32)
    values[0] = 1
    values[:, 0] = 1
    return target, values


@pytest.mark.parametrize("name", OF_SKLEARN)
@pytest.mark.parametrize("average", ["macro", "micro"])
def test_where_no_label_is_there_all_is_right_unless_one_is_predicted(name: str, average: str) -> None:
    nothing = np.zeros((3, 2), dtype=np.int64)
    some = np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    assert metric_by_name(f"{average}_{name}").score(nothing, nothing.astype(np.float32)) == 1.0
    if (average, name) != ("macro", "recall"):  # of no label that is there
        assert metric_by_name(f"{average}_{name}").score(nothing, some) == 0.0


@pytest.mark.parametrize("name", OF_SKLEARN)
@pytest.mark.parametrize("average", ["macro", "micro"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_averages_over_classes_and_over_labels_agree_with_scikit_learn(name: str, average: str, seed: int) -> None:
    metric = metric_by_name(f"{average}_{name}")
    target, values = class_case(seed, 4)
    expected = OF_SKLEARN[name](target, values.argmax(axis=1), average=average, zero_division=0)
    assert metric.score(target, values) == pytest.approx(expected)
    target, values = label_case(seed)
    expected = OF_SKLEARN[name](target, values > 0.5, average=average, zero_division=0)
    assert metric.score(target, values) == pytest.approx(expected)


@pytest.mark.parametrize("name", OF_SKLEARN)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_without_an_average_class_1_counts_or_each_row_of_labels(name: str, seed: int) -> None:
    target, values = class_case(seed, 2)
    expected = OF_SKLEARN[name](target, values[:, 1] > 0.5, zero_division=0)
    assert metric_by_name(name).score(target, values[:, 1:]) == pytest.approx(expected)
    target, values = label_case(seed)
    expected = OF_SKLEARN[name](target, values > 0.5, average="samples", zero_division=0)
    assert metric_by_name(name).score(target, values) == pytest.approx(expected)


def test_a_row_that_rightly_has_no_labels_is_right_and_a_class_that_is_nowhere_says_nothing() -> None:
    none, some = np.zeros((1, 2)), np.ones((1, 2))
    for metric in (PRECISION, RECALL, F1):
        assert metric.score(none.astype(np.int64), none.astype(np.float32)) == 1
        assert metric.score(none.astype(np.int64), some.astype(np.float32)) == 0
    target, values = np.array([0, 1]), np.eye(3, dtype=np.float32)[[0, 1]]
    assert metric_by_name("macro_precision").score(target, values) == 1
    assert metric_by_name("macro_f1").score(target, values) == 1


def test_precision_of_several_classes_asks_for_an_average_and_labels_for_their_columns() -> None:
    with pytest.raises(ConfigError, match="take macro_precision, the mean over them, or micro_precision"):
        PRECISION.score(*class_case(0, 3))
    with pytest.raises(DataError, match="one shape"):
        metric_by_name("micro_f1").score(np.zeros((2, 3), dtype=np.int64), np.zeros((2, 2), dtype=np.float32))


def test_f1_of_a_binary_task_is_decided_by_one_threshold_that_is_fitted() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1], [150, 50])
    values = (0.2 * rng.random(200) + 0.25 * target).astype(np.float32)[:, np.newaxis]
    decision = fit_decision(F1, target, values)
    assert decision.kind == "label_thresholds"
    assert len(decision.apply(values).T) == 1
    assert F1.score(target, decision.apply(values)) > 0.95 > default_score(F1, target, values)
