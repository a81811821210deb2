"""Thresholds of labels, the set of labels that is worth most, and the choice between the two."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kaggle_ray.decide import Decision, fit_decision
from kaggle_ray.decide.expected_f import best_sets
from kaggle_ray.decide.labels import fit_labels
from kaggle_ray.decide.thresholds import COMMON_GRID, fit_thresholds
from kaggle_ray.metrics import F1, F2
from kaggle_ray.metrics.multilabel import f_beta
from kaggle_ray.types import FloatArray, Target


def expected_scores(probabilities: FloatArray, beta: float) -> dict[tuple[bool, ...], float]:
    """Return what each set of labels is worth, from all that may be there."""
    num_labels, metric = len(probabilities), f_beta(beta)
    sets = np.array(list(itertools.product([False, True], repeat=num_labels)))
    weights = np.where(sets, probabilities, 1 - probabilities).prod(axis=1)
    denominators = beta**2 * sets.sum(axis=1)[:, np.newaxis] + sets.sum(axis=1)
    right = sets.astype(np.int64) @ sets.T.astype(np.int64)
    scores = np.divide((1 + beta**2) * right, denominators, out=np.ones(right.shape), where=denominators > 0)
    assert scores[1, 1] == metric.score(sets[1:2].astype(int), sets[1:2].astype(np.float32))
    return dict(zip(map(tuple, sets.tolist()), (weights @ scores).tolist(), strict=True))


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("num_labels", [1, 2, 5, 10])
def test_no_set_of_labels_is_worth_more_than_the_one_that_is_named(num_labels: int, beta: float) -> None:
    probabilities = np.random.default_rng(num_labels).beta(0.4, 0.8, (8, num_labels)).astype(np.float32)
    for row, named in zip(probabilities, best_sets(probabilities, beta), strict=True):
        worth = expected_scores(row, beta)
        assert worth[tuple(named.tolist())] == pytest.approx(max(worth.values()), abs=1e-12)


def drawn(num_rows: int, *, sharpness: float = 1.0) -> tuple[Target, FloatArray]:
    """Return labels, and probabilities of them that are right where ``sharpness`` is 1."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1.5, 1.5, (num_rows, 6)) + rng.normal(0, 1.5, (num_rows, 1))
    target = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    return target, (1 / (1 + np.exp(-sharpness * logits))).astype(np.float32)


def test_sets_answer_where_probabilities_are_right_and_thresholds_where_they_are_not() -> None:
    target, values = drawn(4000)
    fitted = fit_decision(F2, target[:2000], values[:2000])
    assert fitted == Decision(kind="expected_f", parameters={"beta": 2.0})
    assert Decision.from_json(fitted.to_json()) == fitted
    thresholds = np.array(fit_thresholds(F2, target[:2000], values[:2000]))
    of_thresholds = F2.score(target[2000:], (values[2000:] > thresholds).astype(np.float32))
    assert F2.score(target[2000:], fitted.apply(values[2000:])) > of_thresholds
    assert fit_labels(F2, *drawn(2000, sharpness=6.0)).kind == "label_thresholds"


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
