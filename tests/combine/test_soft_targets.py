"""Combiners of probabilities where the truth is a share for each class or label."""

from __future__ import annotations

import numpy as np
import pytest

from kaggle_ray.combine import COMBINERS, Fits, select
from kaggle_ray.combine.choice import candidates
from kaggle_ray.combine.columns import columns_of
from kaggle_ray.combine.stacking import Logistic
from kaggle_ray.errors import DataError
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.metrics.shares import of_shares
from kaggle_ray.types import Float64Array, FloatArray, IntArray

NUM_ROWS = 240
FOLDS: IntArray = np.arange(NUM_ROWS) % 4
SOFT = of_shares(LOG_LOSS, "multiclass")


def pool() -> tuple[dict[str, FloatArray], Float64Array]:
    """Return three members and the shares of three classes that they predict."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(NUM_ROWS, 3)) * 2

    def softmax(values: Float64Array) -> Float64Array:
        return np.asarray(np.exp(values) / np.exp(values).sum(axis=1, keepdims=True))

    members = {f"e{n}": softmax(logits + rng.normal(size=logits.shape)).astype(np.float32) for n in range(3)}
    return members, softmax(logits)


@pytest.mark.parametrize("method", ["geometric", "power", "vote", "logistic", "tempered"])
def test_shares_of_classes_are_combined_as_probabilities(method: str) -> None:
    members, shares = pool()
    made = select(members, shares, FOLDS, SOFT, method)
    assert made.score_honest is not None
    assert made.fitted.predict(members)[:].sum(axis=1) == pytest.approx(np.ones(NUM_ROWS), abs=1e-5)
    if method != "vote":
        assert made.score_honest < min(SOFT.score(shares, member) for member in members.values())
    with pytest.raises(DataError, match="expected probabilities of classes or labels"):
        select(members, shares, FOLDS, LOG_LOSS, method)


def test_shares_that_are_certain_teach_the_regression_what_classes_and_labels_do() -> None:
    members, shares = pool()
    truth = shares.argmax(axis=1)
    certain = np.eye(3)[truth]
    hard = Logistic().fit(members, truth, FOLDS, LOG_LOSS)
    soft = Logistic().fit(members, certain, FOLDS, SOFT)
    assert np.allclose(hard.coefficients, soft.coefficients, atol=1e-3)
    of_label = {name: values[:, :1] for name, values in members.items()}
    binary = of_shares(LOG_LOSS, "binary")
    almost = np.clip(certain[:, 0], 1e-9, 1 - 1e-9)
    labels = [Logistic().fit(of_label, certain[:, 0], FOLDS, LOG_LOSS), Logistic().fit(of_label, almost, FOLDS, binary)]
    assert np.allclose(labels[0].coefficients, labels[1].coefficients, atol=1e-3)


@pytest.mark.parametrize("method", ["convex", "per_label", "tempered"])
@pytest.mark.parametrize("of_classes", [True, False], ids=["classes", "labels"])
def test_weights_and_temperatures_for_shares_are_those_for_as_many_rows_of_each_class(
    method: str, of_classes: bool
) -> None:
    members, shares = pool()
    if not of_classes:
        members, shares = {name: 0.5 + 0.4 * values for name, values in members.items()}, 0.5 + 0.4 * shares
    tenths = np.round(shares, 1)
    if of_classes:
        tenths[:, 0] = 1 - tenths[:, 1:].sum(axis=1)
        counts = np.round(10 * tenths).astype(np.int64)
        rows, truth = (
            np.repeat(np.arange(NUM_ROWS), 10),
            np.concatenate([np.repeat(np.arange(3), np.maximum(of_row, 0))[:10] for of_row in counts]),
        )
        keep = (counts >= 0).all(axis=1)
        assert keep.mean() > 0.9
        rows, truth = rows[np.repeat(keep, 10)], truth[np.repeat(keep, 10)]
    else:
        keep = np.ones(NUM_ROWS, dtype=np.bool_)
        rows = np.repeat(np.arange(NUM_ROWS), 10)
        truth = (np.tile(np.arange(10), NUM_ROWS)[:, np.newaxis] < np.round(10 * tenths[rows])).astype(np.int64)
    metric = of_shares(LOG_LOSS, "multiclass" if of_classes else "multilabel")
    soft = COMBINERS[method]().fit({n: of[keep] for n, of in members.items()}, tenths[keep], FOLDS[keep], metric)
    hard = COMBINERS[method]().fit({n: of[rows] for n, of in members.items()}, truth, FOLDS[rows], LOG_LOSS)
    assert dict(soft.weights) == pytest.approx(dict(hard.weights), abs=2e-3)
    assert soft.predict(members)[:] == pytest.approx(hard.predict(members)[:], abs=2e-3)


def test_auto_thinks_of_temperatures_for_the_log_loss_of_shares() -> None:
    members, shares = pool()
    assert "tempered" in candidates(Fits(members, shares, FOLDS, SOFT))
    assert "tempered" not in candidates(Fits(members, shares, FOLDS, LOG_LOSS)), "they are numbers to it"


def test_shares_of_labels_are_each_for_itself() -> None:
    members, shares = pool()
    labels = {name: values * 0.5 for name, values in members.items()}
    assert columns_of(members, shares, are_shares=True) == "classes"
    assert columns_of(labels, shares, are_shares=True) == "labels"
    assert columns_of(members, shares) == "numbers"
