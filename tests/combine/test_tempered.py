"""How sure a blend is gets learnt like weights are, and nothing is softened that the folds' mean may have softened."""

from __future__ import annotations

import numpy as np
import pytest

from kaggle_ray.combine import AUTO, Fits, select
from kaggle_ray.combine.choice import candidates
from kaggle_ray.combine.tempered import Tempered, TemperedMean
from kaggle_ray.metrics import AUC, LOG_LOSS
from kaggle_ray.types import FloatArray, IntArray

NUM_ROWS = 600
FOLDS: IntArray = np.arange(NUM_ROWS) % 5


def pool(sureness: float, *, labels: bool = False) -> tuple[dict[str, FloatArray], IntArray]:
    """Return three members that err apart, and what they predict; at a sureness of 1 each has too little of it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(NUM_ROWS, 3)) * 2

    def probabilities_of(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> FloatArray:
        odds = np.exp(values)
        return np.asarray(odds / (1 + odds if labels else odds.sum(axis=1, keepdims=True)), dtype=np.float32)

    truth = probabilities_of(logits).astype(np.float64)
    drawn = (
        (rng.random(truth.shape) < truth).astype(np.int64)
        if labels
        else np.array([rng.choice(3, p=of_row / of_row.sum()) for of_row in truth])
    )
    members = {f"e{n}": probabilities_of(sureness * (logits + 0.5 * rng.normal(size=logits.shape))) for n in range(3)}
    return members, drawn


def loss_of(fitted: TemperedMean, members: dict[str, FloatArray], target: IntArray) -> float:
    return LOG_LOSS.score(target, fitted.predict(members)[:])


@pytest.mark.parametrize("labels", [False, True], ids=["classes", "labels"])
def test_a_blend_that_is_less_sure_than_right_is_sharpened(labels: bool) -> None:
    members, target = pool(0.5, labels=labels)
    fitted = Tempered().fit(members, target, FOLDS, LOG_LOSS)
    plain = TemperedMean(weights=fitted.weights, columns=fitted.columns, temperature=1.0, least=0.0)
    assert 0.3 < fitted.temperature < 0.7
    assert loss_of(fitted, members, target) < loss_of(plain, members, target) - 0.02


def test_a_blend_that_is_surer_than_right_is_not_softened_but_kept_from_certainty() -> None:
    members, target = pool(3.0)
    fitted = Tempered().fit(members, target, FOLDS, LOG_LOSS)
    assert fitted.temperature == 1.0
    assert fitted.least > 0
    predicted = fitted.predict(members)[:]
    assert predicted.min() >= fitted.least / 2
    assert predicted.sum(axis=1) == pytest.approx(np.ones(NUM_ROWS), abs=1e-6)


@pytest.mark.parametrize(("sureness", "chosen"), [(0.5, True), (1.1, False)])
def test_auto_takes_it_where_it_gains_more_than_noise(sureness: float, chosen: bool) -> None:
    members, target = pool(sureness)
    without = select(members, target, FOLDS, LOG_LOSS, AUTO, elaborate=("greedy", "geometric", "convex"))
    made = select(members, target, FOLDS, LOG_LOSS, AUTO)
    assert (made.combiner == "tempered") is chosen
    assert made.score_honest is not None
    assert without.score_honest is not None
    assert made.score_honest <= without.score_honest


def test_it_is_a_candidate_for_log_loss_alone() -> None:
    members, target = pool(0.5, labels=True)
    assert "tempered" in candidates(Fits(members, target, FOLDS, LOG_LOSS))
    assert "tempered" not in candidates(Fits(members, target, FOLDS, AUC))
    alone = {"e0": members["e0"]}
    assert "tempered" not in candidates(Fits(alone, target, FOLDS, LOG_LOSS))
