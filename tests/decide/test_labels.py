"""Thresholds of labels, the set of labels that is worth most, and the choice between the two."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kaggle_ray.decide import Decision, fit_decision, labels
from kaggle_ray.decide.expected_f import best_sets
from kaggle_ray.decide.label_sets import LabelSets, fit_label_sets, log_odds
from kaggle_ray.decide.labels import fit_labels
from kaggle_ray.decide.thresholds import COMMON_GRID, fit_thresholds
from kaggle_ray.metrics import F1, F2, Metric
from kaggle_ray.metrics.multilabel import f_beta
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, Target


def expected_scores(
    probabilities: FloatArray, beta: float, weights_of_sizes: Float64Array
) -> dict[tuple[bool, ...], float]:
    """Return what each set of labels is worth, from all that may be there."""
    num_labels, metric = len(probabilities), f_beta(beta)
    sets = np.array(list(itertools.product([False, True], repeat=num_labels)))
    weights = np.where(sets, probabilities, 1 - probabilities).prod(axis=1) * weights_of_sizes[sets.sum(axis=1)]
    denominators = beta**2 * sets.sum(axis=1)[:, np.newaxis] + sets.sum(axis=1)
    right = sets.astype(np.int64) @ sets.T.astype(np.int64)
    scores = np.divide((1 + beta**2) * right, denominators, out=np.ones(right.shape), where=denominators > 0)
    assert scores[1, 1] == metric.score(sets[1:2].astype(int), sets[1:2].astype(np.float32))
    return dict(zip(map(tuple, sets.tolist()), (weights @ scores / weights.sum()).tolist(), strict=True))


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("num_labels", [1, 2, 5, 10])
def test_no_set_of_labels_is_worth_more_than_the_one_that_is_named(
    num_labels: int, beta: float, independent: bool
) -> None:
    rng = np.random.default_rng(num_labels)
    probabilities = rng.beta(0.4, 0.8, (8, num_labels)).astype(np.float32)
    weights = np.ones(num_labels + 1) if independent else rng.gamma(0.5, size=num_labels + 1)
    named_sets = best_sets(probabilities, beta, () if independent else weights.tolist())
    for row, named in zip(probabilities, named_sets, strict=True):
        worth = expected_scores(row, beta, weights)
        assert worth[tuple(named.tolist())] == pytest.approx(max(worth.values()), abs=1e-12)


def test_no_set_is_named_of_a_size_that_cannot_be() -> None:
    values = np.full((3, 4), 0.01, dtype=np.float32)
    assert not best_sets(values, 2.0).any()
    assert best_sets(values, 2.0, [0.0, 1.0, 1.0, 1.0, 1.0]).any(axis=1).all()


def drawn(num_rows: int, *, sharpness: float = 1.0) -> tuple[Target, FloatArray]:
    """Return labels, and probabilities of them that are right where ``sharpness`` is 1."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1.5, 1.5, (num_rows, 6)) + rng.normal(0, 1.5, (num_rows, 1))
    target = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    return target, (1 / (1 + np.exp(-sharpness * logits))).astype(np.float32)


def test_the_likeliest_sets_have_the_scale_and_the_sizes_of_the_rows() -> None:
    target, right = drawn(4000)
    independent = fit_label_sets(target, right)
    assert independent.scale == pytest.approx(1.0, abs=0.05)
    assert np.array(independent.weights[:5]) / independent.weights[0] == pytest.approx(np.ones(5), abs=0.3)
    too_sure = fit_label_sets(target, drawn(4000, sharpness=3.0)[1])
    assert too_sure.scale == pytest.approx(1 / 3, rel=0.05)
    has_some = target.any(axis=1)
    of_some = fit_label_sets(target[has_some], right[has_some])
    assert of_some.weights[0] == 0
    assert of_some.best(np.full((1, 6), 0.001, dtype=np.float32), 2.0).any()
    assert not independent.best(np.full((1, 6), 0.001, dtype=np.float32), 2.0).any()
    of_one_row = fit_label_sets(target[:1], right[:1])
    assert np.isfinite([of_one_row.scale, *of_one_row.weights]).all()


def test_sizes_that_were_seen_are_expected() -> None:
    """Under the fitted weights as many rows of each size are expected as there were, however unlike independence."""
    rng = np.random.default_rng(1)
    is_pair = rng.random(600) < 0.7  # two labels of a row come together, or none
    target = np.stack([is_pair, is_pair, rng.random(600) < 0.2], axis=1).astype(np.int64)
    values = (0.3 * target + rng.uniform(0.1, 0.6, target.shape)).astype(np.float32)
    sets = fit_label_sets(target, values)
    of_labels = np.array(list(itertools.product([False, True], repeat=3)))
    seen = target @ [4, 2, 1]

    def probable(scale: float) -> Float64Array:
        """Return (N, 8) how probable each set is."""
        odds = scale * np.log(values / (1 - values))
        weights = np.exp(odds @ of_labels.T) * np.array(sets.weights)[of_labels.sum(axis=1)]
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    probabilities = probable(sets.scale)
    likelihoods = [np.log(probable(each * sets.scale)[range(600), seen]).sum() for each in (1.0, 0.9, 1.1)]
    assert np.argmax(likelihoods) == 0
    expected = [probabilities[:, of_labels.sum(axis=1) == size].sum() for size in range(4)]
    assert expected == pytest.approx(np.bincount(target.sum(axis=1), minlength=4).tolist(), abs=1)


def test_sets_answer_unless_thresholds_are_better() -> None:
    target, values = drawn(4000)
    for sharpness in (1.0, 6.0):
        _, unsure = drawn(4000, sharpness=sharpness)
        fitted = fit_decision(F2, target[:2000], unsure[:2000])
        assert fitted.kind == "expected_f"
        assert Decision.from_json(fitted.to_json()) == fitted
        thresholds = np.array(fit_thresholds(F2, target[:2000], unsure[:2000]))
        of_thresholds = F2.score(target[2000:], (unsure[2000:] > thresholds).astype(np.float32))
        assert F2.score(target[2000:], fitted.apply(unsure[2000:])) > of_thresholds
    # A row's labels err alike, by more than they tell of it, which no scale and no size makes up for.
    odds = log_odds(values) + np.random.default_rng(1).normal(0, 4, (len(values), 1))
    assert fit_labels(F2, target, (1 / (1 + np.exp(-odds))).astype(np.float32)).kind == "label_thresholds"


def test_a_rule_that_was_fitted_before_sizes_were_learnt_answers_as_it_did() -> None:
    _, values = drawn(50)
    named = Decision.from_json({"kind": "expected_f", "beta": 2.0}).apply(values)
    assert (named == best_sets(values, 2.0)).all()


def test_the_common_threshold_and_each_labels_own_are_those_of_a_search_one_by_one() -> None:
    target, values = drawn(300)
    few = fit_thresholds(F1, target[:30], values[:30])  # too few rows for thresholds of their own
    scores = [F1.score(target[:30], (values[:30] > cut).astype(np.float32)) for cut in COMMON_GRID]
    assert len(set(few)) == 1
    assert F1.score(target[:30], (values[:30] > few[0]).astype(np.float32)) >= max(scores) - 0.05
    own = np.array(fit_thresholds(F2, target, values))
    assert F2.score(target, (values > own).astype(np.float32)) >= max(
        F2.score(target, (values > cut).astype(np.float32)) for cut in COMMON_GRID
    )


def test_a_threshold_is_not_passed_by_what_is_equal_to_it() -> None:
    target = np.array([[0, 0], [1, 1]] * 10)
    values = np.where(target == 1, 0.75, 0.25).astype(np.float32)
    thresholds = fit_thresholds(F2, target, values)
    assert thresholds[0] == pytest.approx(0.495, abs=1e-9), "the middle of 0.25, 0.26, ..., 0.74"
    rule = Decision(kind="label_thresholds", parameters={"thresholds": [0.25, 0.75]})
    assert rule.apply(values[1:2]).tolist() == [[1, 0]]


def test_a_labels_own_threshold_is_drawn_back_to_the_common_one() -> None:
    target, values = drawn(300)
    target[:, 0] = 0
    target[:5, 0] = 1  # too few for one of its own
    common, *own = fit_thresholds(F2, target, values)
    num_positive = target.sum(axis=0)[1:]
    assert (np.abs(np.array(own) - common) <= num_positive / (num_positive + 1000)).all()
    assert len(set(own)) > 1


def test_the_choice_is_made_by_rows_that_were_not_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """And by the same halves, whatever the order of the rows."""
    target, values = drawn(80)
    fitted: list[FloatArray] = []
    cut_by: list[FloatArray] = []
    answered: list[FloatArray | Float64Array] = []

    class Recorded(LabelSets):
        def best(self, values: FloatArray | Float64Array, beta: float) -> BoolArray:
            answered.append(values)
            return super().best(values, beta)

    def fit(target: Target, values: FloatArray) -> LabelSets:
        fitted.append(values)
        return Recorded()

    def cut(metric: Metric, target: Target, values: FloatArray) -> list[float]:
        cut_by.append(values)
        return [0.5] * 6

    monkeypatch.setattr(labels, "fit_label_sets", fit)
    monkeypatch.setattr(labels, "fit_thresholds", cut)
    halves = []
    for order in (np.arange(80), np.random.default_rng(0).permutation(80)):
        for recorded in (fitted, cut_by, answered):
            recorded.clear()
        fit_labels(F2, target[order], values[order])
        for taught, cut_at, told in zip(fitted[:2], cut_by[:2], answered, strict=True):
            assert not np.isin(told[:, 0], taught[:, 0]).any()
            assert (cut_at == taught).all()
        assert len(np.unique(np.concatenate(answered)[:, 0])) == 80
        halves.append({frozenset(each[:, 0].tolist()) for each in answered})
    assert halves[0] == halves[1]


@pytest.mark.parametrize(("num_better", "kind"), [(2, "expected_f"), (5, "label_thresholds")])
def test_thresholds_have_to_be_better_by_more_than_chance(
    monkeypatch: pytest.MonkeyPatch, num_better: int, kind: str
) -> None:
    """They answer ``num_better`` rows better than the sets do, and one worse where these are two."""
    target, right = np.ones((60, 2), dtype=np.int64), np.full((60, 2), 0.9, dtype=np.float32)
    right += np.arange(60)[:, np.newaxis].astype(np.float32) * 1e-4
    worse_of_sets, worse_of_cuts = right[:num_better, 0], right[50:51, 0] if num_better == 2 else right[:0, 0]
    values = right.copy()
    values[50 : 50 + len(worse_of_cuts), 1] = 0.1

    class Sets(LabelSets):
        def best(self, values: FloatArray | Float64Array, beta: float) -> BoolArray:
            named = np.ones(values.shape, dtype=np.bool_)
            named[np.isin(values[:, 0], worse_of_sets), 1] = False
            return named

    monkeypatch.setattr(labels, "fit_label_sets", lambda target, values: Sets())
    monkeypatch.setattr(labels, "fit_thresholds", lambda metric, target, values: [0.5, 0.5])
    assert fit_labels(F2, target, values).kind == kind


def test_of_few_rows_no_rule_is_chosen() -> None:
    target, values = drawn(50)
    assert fit_labels(F2, target, values).kind == "expected_f"
    assert fit_labels(F2, target[:49], values[:49]).kind == "label_thresholds"
