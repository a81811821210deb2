"""How sure probabilities are gets learnt like weights are: of each member's models, and then of the blend."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kaggle_ray.combine import AUTO, Fits, select
from kaggle_ray.combine.choice import candidates
from kaggle_ray.combine.tempered import Tempered, TemperedMean
from kaggle_ray.metrics import AUC, LOG_LOSS
from kaggle_ray.rows import MeanRows, select_rows
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
def test_a_blend_that_is_less_sure_than_right_is_sharpened_by_one_temperature(labels: bool) -> None:
    members, target = pool(0.5, labels=labels)
    fitted = Tempered().fit(members, target, FOLDS, LOG_LOSS)
    plain = TemperedMean(weights=fitted.weights, columns=fitted.columns, temperature=1.0, least=0.0)
    assert not fitted.of_members
    assert 0.4 < fitted.temperature < 0.7
    assert loss_of(fitted, members, target) < loss_of(plain, members, target) - 0.02


def known_apart(members: dict[str, FloatArray]) -> dict[str, MeanRows]:
    """Return what out-of-fold predictions are: each row's are of one model, and it is known."""
    return {name: MeanRows(values, (values,)) for name, values in members.items()}


def test_what_is_surer_than_right_is_not_softened_where_its_models_are_not_known_apart() -> None:
    members, target = pool(3.0)
    fitted = Tempered().fit(members, target, FOLDS, LOG_LOSS)
    assert fitted.temperature == 1.0
    assert all(temperature < 1 for temperature in fitted.of_members.values())
    assert fitted.least > 0
    predicted = fitted.predict(members)[:]
    assert predicted.min() >= fitted.least / 2
    assert predicted.sum(axis=1) == pytest.approx(np.ones(NUM_ROWS), abs=1e-6)


@pytest.mark.parametrize("labels", [False, True], ids=["classes", "labels"])
def test_a_member_that_is_surer_than_right_is_softened_model_by_model_before_the_mean(labels: bool) -> None:
    members, target = pool(3.0, labels=labels)
    alone = {"e0": known_apart(members)["e0"]}
    fitted = Tempered().fit(alone, target, FOLDS, LOG_LOSS)
    temperature = fitted.of_members["e0"]
    assert 2 < temperature < 4.1
    plain = LOG_LOSS.score(target, members["e0"])
    assert LOG_LOSS.score(target, fitted.predict(alone)[:]) < plain - 0.1
    models = tuple(members.values())  # of a test row: the folds' models
    of_test = {"e0": MeanRows(np.mean(models, axis=0), models)}
    without_least = replace(fitted, least=0.0)
    each = [without_least.predict({"e0": MeanRows(model, (model,))})[:] for model in models]
    assert np.allclose(without_least.predict(of_test)[:], np.mean(each, axis=0), atol=1e-6)
    assert not np.allclose(
        without_least.predict(of_test)[:], without_least.predict({"e0": of_test["e0"].mean})[:], atol=1e-3
    )
    again = Tempered().from_json(json.loads(json.dumps(fitted.to_json())))
    assert again == fitted


def test_the_models_of_selected_rows_stay_known_apart() -> None:
    members, _ = pool(1.0)
    models = tuple(members.values())
    chosen = select_rows(MeanRows(np.mean(models, axis=0), models), np.arange(10))
    assert isinstance(chosen, MeanRows)
    assert [np.array_equal(part[:], model[:10]) for part, model in zip(chosen.parts, models, strict=True)] == [True] * 3
    assert np.allclose(chosen[:], np.mean(models, axis=0)[:10])


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
