from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import METRICS, map_at_k, metric_by_name, pinball, register_metric, top_k_accuracy
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.metric_contract import check_metric
from kaggle_ray.types import FloatArray, IntArray

Answers = tuple[IntArray, FloatArray]


def of_classes(seed: int, num_classes: int = 4, num_rows: int = 40) -> Answers:
    """Return classes, of which the last is absent, and probabilities that know a little of them."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes - 1, num_rows)
    values = rng.random((num_rows, num_classes)) + 0.5 * np.eye(num_classes)[target]
    return target, values / values.sum(axis=1, keepdims=True)


def binary(seed: int) -> Answers:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, 30)
    return target, np.clip(0.3 * target[:, np.newaxis] + 0.7 * rng.random((30, 1)), 0, 1)


def labels(seed: int) -> Answers:
    rng = np.random.default_rng(seed)
    target = (rng.random((30, 5)) < 0.3).astype(np.int64)
    return target, np.clip(0.3 * target + 0.7 * rng.random((30, 5)), 0, 1)


def numbers(seed: int) -> Answers:
    rng = np.random.default_rng(seed)
    target: Any = rng.random(30) * 9
    return target, target[:, np.newaxis] + rng.normal(size=(30, 1))


def chosen(values: FloatArray) -> IntArray:
    answers: IntArray = (values[:, 0] > 0.5).astype(np.int64) if values.shape[1] == 1 else values.argmax(axis=1)
    return answers


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("answers", [of_classes, binary])
def test_agreement_of_classes_is_scikit_learns(answers: Any, seed: int) -> None:
    target, values = answers(seed)
    predicted = chosen(values)
    expected = {
        "mcc": sklearn.matthews_corrcoef(target, predicted),
        "kappa": sklearn.cohen_kappa_score(target, predicted),
        "balanced_accuracy": sklearn.recall_score(target, predicted, labels=np.unique(target), average="macro"),
    }
    found = {name: metric_by_name(name).score(target, values) for name in expected}
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 9])
@pytest.mark.parametrize("seed", range(3))
def test_top_k_accuracy_and_map_are_those_of_a_loop_over_the_rows(k: int, seed: int) -> None:
    target, values = of_classes(seed)
    places = [
        sorted(range(4), key=lambda c: (-row[c], c)).index(true) + 1 for true, row in zip(target, values, strict=True)
    ]
    assert top_k_accuracy(k).score(target, values) == pytest.approx(np.mean([place <= k for place in places]))
    assert map_at_k(k).score(target, values) == pytest.approx(np.mean([(place <= k) / place for place in places]))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_map_of_labels_is_the_mean_precision_at_each_label_that_is_found(k: int) -> None:
    target, values = labels(0)
    scores = []
    for there, row in zip(target, values, strict=True):
        first = np.argsort(-row)[:k]
        found = [there[first[: place + 1]].mean() for place in range(k) if there[first[place]]]
        scores.append(sum(found) / min(k, there.sum()) if there.any() else 0.0)
    assert map_at_k(k).score(target, values) == pytest.approx(np.mean(scores))


def test_of_equally_probable_classes_the_lower_one_comes_first() -> None:
    values = np.full((2, 3), 1 / 3)
    assert top_k_accuracy(1).score(np.array([0, 1]), values) == 0.5
    assert map_at_k(2).score(np.array([1, 2]), values) == 0.25
    assert metric_by_name("top_3_accuracy").score(np.array([0, 1]), np.array([[0.5], [0.5]])) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_ranks_of_each_class_and_label_are_scikit_learns(seed: int) -> None:
    target, values = of_classes(seed)
    one_hot, known = np.eye(4)[target], np.unique(target)
    aucs = [sklearn.roc_auc_score(one_hot[:, c], values[:, c]) for c in known]
    precisions = [sklearn.average_precision_score(one_hot[:, c], values[:, c]) for c in known]
    assert metric_by_name("auc_ovr").score(target, values) == pytest.approx(np.mean(aucs))
    assert metric_by_name("average_precision").score(target, values) == pytest.approx(np.mean(precisions))
    assert metric_by_name("brier").score(target, values) == pytest.approx(((one_hot - values) ** 2).sum(axis=1).mean())
    truth, guess = binary(seed)
    assert metric_by_name("brier").score(truth, guess) == pytest.approx(sklearn.brier_score_loss(truth, guess[:, 0]))
    several, of_each = labels(seed)
    assert metric_by_name("average_precision").score(several, of_each) == pytest.approx(
        sklearn.average_precision_score(several, of_each, average="macro")
    )


@pytest.mark.parametrize("name", ["auc_ovr", "average_precision"])
def test_ranks_of_a_single_class_are_none_and_a_label_that_is_nowhere_is_left_out(name: str) -> None:
    with pytest.raises(DataError, match="expected a class or label that some rows have and others have not"):
        metric_by_name(name).score(np.array([1, 1]), np.array([[0.2, 0.8], [0.1, 0.9]]))
    target, values = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.1], [0.2, 0.9]])
    assert metric_by_name(name).score(target, values) == 1.0


def test_where_all_rows_are_of_one_class_agreement_says_nothing_or_all() -> None:
    target, values = np.array([1, 1]), np.array([[0.8], [0.9]])
    assert metric_by_name("mcc").score(target, values) == 0.0
    assert metric_by_name("kappa").score(target, values) == 1.0
    assert metric_by_name("balanced_accuracy").score(target, values) == 1.0


def test_errors_of_numbers_are_scikit_learns() -> None:
    target, values = numbers(0)
    predicted = np.maximum(values[:, 0], 0)
    assert metric_by_name("rmsle").score(target, values) == pytest.approx(
        sklearn.root_mean_squared_log_error(target, predicted)
    )
    for quantile in (0.1, 0.9):
        assert pinball(quantile).score(target, values) == pytest.approx(
            sklearn.mean_pinball_loss(target, values[:, 0], alpha=quantile)
        )
    assert metric_by_name("pinball_0.5").score(target, values) == pytest.approx(
        metric_by_name("mae").score(target, values) / 2
    )
    several = np.stack([target, 2 * target], axis=1), np.concatenate([values, values], axis=1)
    assert metric_by_name("mcrmse").score(*several) == pytest.approx(
        np.mean([sklearn.root_mean_squared_error(several[0][:, c], several[1][:, c]) for c in (0, 1)])
    )
    with pytest.raises(DataError, match="expected no target below 0, got -1"):
        metric_by_name("rmsle").score(np.array([-1.0, 2.0]), np.array([[1.0], [2.0]]))
    with pytest.raises(ConfigError, match="expected a quantile above 0 and below 1, got 1"):
        pinball(1.0)


def test_correlations_are_scipys_and_nothing_where_all_is_the_same() -> None:
    from scipy.stats import pearsonr, spearmanr

    target, values = numbers(1)
    assert metric_by_name("pearson").score(target, values) == pytest.approx(pearsonr(target, values[:, 0])[0])
    assert metric_by_name("spearman").score(target, values) == pytest.approx(spearmanr(target, values[:, 0])[0])
    for name in ("pearson", "spearman"):
        assert metric_by_name(name).score(target, np.ones((30, 1))) == 0.0


OF_TASK = {
    "labels": ("f1", "f2", "precision", "recall", "macro_f1", "micro_f1", "average_precision", "brier", "map_at_3"),
    "classes": ("accuracy", "log_loss", "mcc", "kappa", "balanced_accuracy", "top_3_accuracy", "map_at_3", "auc_ovr"),
    "numbers": ("rmse", "mae", "r2", "mcrmse", "rmsle", "pinball_0.9", "pearson", "spearman"),
}
RIGHT: dict[str, Any] = {
    "labels": (np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]]), np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]])),
    "classes": (np.array([0, 1, 2, 3, 1]), np.eye(4)[[0, 1, 2, 3, 1]]),
    "numbers": (np.array([0.0, 1.0, 4.0, 9.0]), np.array([[0.0], [1.0], [4.0], [9.0]])),
}


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, names in OF_TASK.items() for name in names])
def test_a_metric_keeps_the_contract(task: str, name: str) -> None:
    check_metric(metric_by_name(name), *RIGHT[task])


def test_the_contract_finds_a_sign_that_is_the_wrong_way_round() -> None:
    with registrations_undone():
        register_metric("error", greater_is_better=True)(
            lambda target, values: float(np.abs(values[:, 0] - target).mean())
        )
        with pytest.raises(AssertionError, match="is greater_is_better right"):
            check_metric(metric_by_name("error"), *RIGHT["numbers"])
        with pytest.raises(ConfigError, match="metric 'rmse' is built in"):
            register_metric("rmse", greater_is_better=False)(lambda target, values: 0.0)
    assert "error" not in METRICS
