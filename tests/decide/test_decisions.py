from __future__ import annotations

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.decide import Decision, decided, default_decision, default_score, fit_decision
from kaggle_ray.decide.thresholds import fit_thresholds
from kaggle_ray.metrics import (
    ACCURACY,
    AUC,
    DICE,
    F2,
    LOG_LOSS,
    MACRO_RECALL,
    MAE,
    MEAN_AP_IOU,
    QUADRATIC_KAPPA,
    Metric,
    rounded,
)
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import FloatArray, Target

SEEDS = st.integers(0, 10**6)


def numbers(decision: Decision, name: str) -> list[float]:
    return from_json(list[float], decision.parameters[name], where=name)


def noisy_labels(seed: int, num_rows: int = 600) -> tuple[Target, FloatArray]:
    """Return labels of different frequency, and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    target = (rng.random((num_rows, 5)) < np.array([0.05, 0.2, 0.4, 0.6, 0.9])).astype(np.int64)
    logits = 1.5 * (2 * target - 1) + 1.5 * rng.normal(size=target.shape)
    return target, (1 / (1 + np.exp(-logits))).astype(np.float32)


def noisy_masks(seed: int) -> tuple[Target, FloatArray]:
    """Return masks, a third of them empty, with specks of foreground in the probabilities; those are a little low."""
    rng = np.random.default_rng(seed)
    target = np.zeros((60, 400), dtype=np.uint8)
    for row in range(40):
        start = rng.integers(0, 300)
        target[row, start : start + rng.integers(50, 100)] = 1
    values = 0.45 * target + rng.uniform(0, 0.3, target.shape)
    values[40:, :2] = 0.9
    return target, values.astype(np.float32)


CASES: list[tuple[Metric, Target, FloatArray]] = [
    (F2, *noisy_labels(0)),
    (DICE, *noisy_masks(0)),
    (MEAN_AP_IOU, *noisy_masks(0)),
]


@pytest.mark.parametrize(("metric", "target", "values"), CASES)
def test_a_fitted_rule_beats_the_default_on_its_own_rows(metric: Metric, target: Target, values: FloatArray) -> None:
    fitted = fit_decision(metric, target, values)
    assert metric.score(target, fitted.apply(values)) > default_score(metric, target, values)


@pytest.mark.parametrize(("metric", "target", "values"), CASES)
def test_a_rule_does_not_depend_on_the_order_of_the_rows(metric: Metric, target: Target, values: FloatArray) -> None:
    order = np.random.default_rng(1).permutation(len(target))
    fitted, other = fit_decision(metric, target, values), fit_decision(metric, target[order], values[order])
    assert fitted.kind == other.kind
    for name, parameter in fitted.parameters.items():
        assert other.parameters[name] == pytest.approx(parameter)


@pytest.mark.parametrize(("metric", "target", "values"), CASES)
def test_answers_are_decided_once_and_for_all(metric: Metric, target: Target, values: FloatArray) -> None:
    answers = fit_decision(metric, target, values).apply(values)
    assert set(np.unique(answers).tolist()) <= {0.0, 1.0}
    assert metric.score(target, default_decision(metric, values.shape[1]).apply(answers)) == metric.score(
        target, answers
    )


def test_thresholds_hold_on_new_rows() -> None:
    target, values = noisy_labels(0, 4000)
    fitted = fit_decision(F2, target[:600], values[:600])
    new = target[600:], values[600:]
    assert F2.score(new[0], fitted.apply(new[1])) > default_score(F2, *new)


def test_the_threshold_of_few_rows_is_not_where_their_scores_happen_to_be_highest() -> None:
    """It is the common one that is looked at: the first label is there too seldom to have its own."""
    cuts = np.arange(0.02, 0.9, 0.01)
    fitted, highest = [], []
    for seed in range(40):
        target, values = noisy_labels(seed, 200)
        fitted.append(fit_thresholds(F2, target, values)[0])
        highest.append(cuts[np.argmax([F2.score_fn(target, (values > cut).astype(float)) for cut in cuts])])
    target, values = noisy_labels(1000, 20_000)
    best = cuts[np.argmax([F2.score_fn(target, (values > cut).astype(float)) for cut in cuts])]
    assert np.abs(np.array(fitted) - best).mean() < 0.8 * np.abs(np.array(highest) - best).mean()


def test_few_rows_share_one_threshold() -> None:
    target, values = noisy_labels(0, 15)
    assert len(set(numbers(fit_decision(F2, target, values), "thresholds"))) == 1


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_own_thresholds_are_no_worse_than_a_common_one_on_many_rows(seed: int) -> None:
    target, values = noisy_labels(seed, 3000)
    fitted = fit_decision(F2, target, values)
    best_common = max(F2.score(target, (values > cut).astype(np.float32)) for cut in np.arange(0.02, 0.9, 0.01))
    assert F2.score(target, fitted.apply(values)) >= best_common - 1e-3


def test_a_speck_is_an_empty_mask() -> None:
    target, values = noisy_masks(0)
    fitted = fit_decision(MEAN_AP_IOU, target, values)
    min_pixels = from_json(int, fitted.parameters["min_pixels"], where="here")
    assert min_pixels >= 3
    assert not fitted.apply(values)[40:].any()
    larger = fitted.enlarged(4.0)
    assert larger.parameters["min_pixels"] == 4 * min_pixels
    assert larger.parameters["threshold"] == fitted.parameters["threshold"]


def test_cuts_turn_numbers_into_ordered_classes() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 4, 300)
    values = (0.5 * target + 0.3 + rng.normal(0, 0.1, 300))[:, np.newaxis].astype(np.float32)
    fitted = fit_decision(QUADRATIC_KAPPA, target, values)
    assert numbers(fitted, "cuts") == sorted(numbers(fitted, "cuts"))
    assert QUADRATIC_KAPPA.score(target, fitted.apply(values)) > 0.95
    assert QUADRATIC_KAPPA.score(target, fitted.apply(values)) > QUADRATIC_KAPPA.score(target, values)
    loss = dataclasses.replace(
        QUADRATIC_KAPPA, greater_is_better=False, score_fn=lambda *given: 1 - QUADRATIC_KAPPA.score_fn(*given)
    )
    assert fit_decision(loss, target, values) == fitted
    (first, *_) = numbers(fitted, "cuts")
    assert fitted.apply(np.array([[first], [np.nextafter(first, np.inf)]])).tolist() == [[0], [1]]


def test_rules_belong_to_a_metric_and_not_to_its_name() -> None:
    """A metric of the user's whose name or function looks like one of ours is fitted by its scores alone."""
    target, values = noisy_labels(0)
    seen: list[int] = []

    def share_of_right_labels(least: float, target: Target, values: FloatArray) -> float:
        seen.append(len(target))
        return float(np.mean((values > least) == target))

    mine = Metric(
        name="fraction_right",
        score_fn=partial(share_of_right_labels, 0.5),
        greater_is_better=True,
        decision="label_thresholds",
    )
    cuts = numbers(fit_decision(mine, target, values), "thresholds")
    assert seen
    assert len(set(cuts)) == 1, "it is no F-beta, whose labels have thresholds of their own"
    assert default_decision(mine, 2).parameters["thresholds"] == [0.5, 0.5]
    assert default_decision(dataclasses.replace(mine, name="f2"), 1).parameters["thresholds"] == [0.5]
    renamed = dataclasses.replace(F2, name="mean_f2")
    assert fit_decision(renamed, target, values) == fit_decision(F2, target, values)
    assert default_decision(renamed, 1).parameters["thresholds"] == [0.2]


def test_a_metric_that_is_called_as_one_of_ours_is_scored_by_its_own_function() -> None:
    target, values = noisy_masks(0)
    mine = Metric(
        name="dice",
        score_fn=lambda target, values: float(np.mean(values > 0.5)),
        greater_is_better=True,
        decision="mask",
    )
    assert fit_decision(mine, target, values) == fit_decision(dataclasses.replace(mine, name="pixels"), target, values)
    assert fit_decision(mine, target, values) != fit_decision(DICE, target, values)


def test_what_is_decided_is_no_longer_what_it_was_before() -> None:
    """Of the score of answers nothing is known but the function."""
    assert decided(F2, default_decision(F2, 3)).beta is None


def test_the_counts_of_masks_that_are_decided_tell_their_score() -> None:
    rng = np.random.default_rng(0)
    target, values = rng.integers(0, 2, (9, 40)), rng.random((9, 40)).astype(np.float32)
    metric = decided(DICE, Decision(kind="mask", parameters={"threshold": 0.375, "min_pixels": 25}))
    cut = values > metric.cut_at
    assert metric.score_of_counts is not None
    assert len({row < 25 for row in cut.sum(axis=1).tolist()}) == 2, "some are taken for empty"
    of_images = metric.score_of_counts(target.sum(axis=1), cut.sum(axis=1), (cut & (target > 0)).sum(axis=1))
    assert of_images.mean() == metric.score(target, values) != DICE.score(target, values)


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC])
def test_what_needs_no_decision_stays_as_it_is(metric: Metric) -> None:
    values = np.array([[0.2], [0.7]], dtype=np.float32)
    fitted = fit_decision(metric, np.array([0, 1]), values)
    assert fitted == Decision(kind="none")
    assert fitted.apply(values).tolist() == values.tolist()
    assert decided(metric, fitted) is metric


@pytest.mark.parametrize("metric", [ACCURACY, MACRO_RECALL, QUADRATIC_KAPPA])
@pytest.mark.parametrize("num_columns", [2, 5])
def test_the_most_probable_class_scores_like_the_probabilities(metric: Metric, num_columns: int) -> None:
    rng = np.random.default_rng(0)
    target, values = rng.integers(0, num_columns, 50), rng.random((50, num_columns)).astype(np.float32)
    values[:5] = 1 / num_columns  # a tie goes to the first class
    answers = fit_decision(metric, target, values).apply(values)
    assert answers.sum(axis=1).tolist() == [1.0] * 50
    assert set(np.unique(answers)) == {0.0, 1.0}
    assert answers[:5, 0].tolist() == [1.0] * 5
    assert metric.score(target, answers) == metric.score(target, values)


@pytest.mark.parametrize("metric", [ACCURACY, MACRO_RECALL])
def test_one_column_is_the_second_class_above_a_half(metric: Metric) -> None:
    values = np.array([[0.2], [0.5], [0.51], [1.0]], dtype=np.float32)
    assert fit_decision(metric, np.array([0, 0, 1, 1]), values).apply(values).ravel().tolist() == [0, 0, 1, 1]


def test_predictions_of_a_rounded_metric_are_whole_numbers_and_scored_as_such() -> None:
    target = np.array([1.0, 2.0, 3.0])
    values = np.array([[1.4], [1.6], [2.2]], dtype=np.float32)
    fitted = fit_decision(rounded(MAE), target, values)
    assert fitted.apply(values).ravel().tolist() == [1, 2, 2]
    assert default_score(rounded(MAE), target, values) == pytest.approx(1 / 3)
    assert default_score(MAE, target, values) == pytest.approx(1.6 / 3)


@pytest.mark.parametrize("metric", [ACCURACY, F2, QUADRATIC_KAPPA, rounded(MAE), DICE])
@pytest.mark.parametrize("num_columns", [1, 3])
def test_what_is_decided_is_whole_numbers(metric: Metric, num_columns: int) -> None:
    rule = default_decision(metric, num_columns)
    assert rule.whole_columns(num_columns).tolist() == [True] * num_columns
    answers = rule.apply(np.random.default_rng(0).random((20, num_columns)).astype(np.float32))
    assert np.array_equal(answers, answers.astype(int))


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC, MAE])
def test_what_is_not_decided_need_not_be_whole(metric: Metric) -> None:
    assert default_decision(metric, 2).whole_columns(2).tolist() == [False, False]


@pytest.mark.parametrize(("metric", "target", "values"), CASES)
def test_a_decision_is_json(metric: Metric, target: Target, values: FloatArray) -> None:
    fitted = fit_decision(metric, target, values)
    read = json.loads(json.dumps(fitted.to_json()))
    again = Decision(kind=read.pop("kind"), parameters=read)
    assert np.array_equal(again.apply(values), fitted.apply(values))
