"""Stacking by gradient boosting: against scikit-learn, never on its own rows, and with the table's columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import sklearn.ensemble

import kaggle_ray
from kaggle_ray.combine import COMBINERS, Fits, select
from kaggle_ray.combine.boosting import Boosted, Boosting
from kaggle_ray.combine.combiner import TABLE
from kaggle_ray.combine.nested import others_of
from kaggle_ray.combine.trees import Trees, boosted_trees
from kaggle_ray.errors import DataError, JsonShapeError
from kaggle_ray.metrics import AUC, LOG_LOSS, RMSE, metric_by_name
from kaggle_ray.metrics.shares import of_shares
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue, Target

NUM_ROWS = 400
FOLDS: IntArray = np.arange(NUM_ROWS) % 4
Members = dict[str, FloatArray]


def day_and_night() -> tuple[Members, IntArray, Float64Array]:
    """Return a member for the rows above 0 of the table's first column, and one for the others; the second is noise."""
    rng = np.random.default_rng(0)
    target, table = rng.integers(0, 2, NUM_ROWS), rng.normal(size=(NUM_ROWS, 2))
    table[rng.random(NUM_ROWS) < 0.2, 1] = np.nan
    skills = np.where(table[:, 0] > 0, 1.5, 0.0), np.where(table[:, 0] > 0, 0.0, 1.5)
    logits = [skill * (2 * target - 1) + rng.normal(size=NUM_ROWS) for skill in skills]
    return (
        {f"e{n}": (1 / (1 + np.exp(-of)))[:, np.newaxis].astype(np.float32) for n, of in enumerate(logits)},
        (target),
        table,
    )


def of_noise(num_columns: int) -> tuple[Members, Float64Array]:
    rng = np.random.default_rng(1)
    values = rng.dirichlet(np.ones(max(2, num_columns)), size=(2, NUM_ROWS))[:, :, :num_columns]
    table = rng.normal(size=(NUM_ROWS, 2))
    table[::3, 0] = np.nan
    return {f"e{n}": of.astype(np.float32) for n, of in enumerate(values)}, table


@pytest.mark.parametrize(
    ("kind", "truth"),
    [
        ("HistGradientBoostingClassifier", np.arange(NUM_ROWS) % 2),
        ("HistGradientBoostingClassifier", np.arange(NUM_ROWS) % 3),
        ("HistGradientBoostingRegressor", np.sin(np.arange(NUM_ROWS))),
    ],
)
def test_the_sums_of_trees_are_those_of_scikit_learn(kind: str, truth: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[Any] = []
    theirs = getattr(sklearn.ensemble, kind)

    class Spied(theirs):  # type: ignore[misc, valid-type]
        def fit(self, *args: Any) -> Any:
            fitted.append(self)
            return super().fit(*args)

    monkeypatch.setattr(sklearn.ensemble, kind, Spied)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(NUM_ROWS, 4)) + 0.5 * truth[:, np.newaxis]
    features[rng.random(features.shape) < 0.1] = np.nan
    features[::2, 3] = np.nan
    sums = np.stack([trees.sums(features) for trees, _ in boosted_trees(kind, features, truth)], axis=1)
    expected = fitted[0].predict(features) if "Regressor" in kind else fitted[0].decision_function(features)
    assert sums == pytest.approx(expected.reshape(sums.shape), abs=1e-9)


def test_the_table_tells_where_a_member_is_to_be_believed() -> None:
    members, target, table = day_and_night()
    made = {
        with_table: select(members, target, FOLDS, LOG_LOSS, "boosting", table=table if with_table else None)
        for with_table in (True, False)
    }
    linear = select(members, target, FOLDS, LOG_LOSS, "logistic", table=table)
    scores = [made[True].score_honest, made[False].score_honest, linear.score_honest]
    assert None not in scores
    assert float(scores[0] or 0) < 0.9 * min(float(scores[1] or 0), float(scores[2] or 0))
    shares = made[True].weights
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) > 0.3, "both are asked for"
    with pytest.raises(DataError, match="expected the table of 2 columns that it was fitted with, got none"):
        made[True].apply(members)
    with pytest.raises(DataError, match="fitted with, got 1 column"):
        made[True].apply(members, table[:, :1])


def test_a_fold_is_answered_by_trees_that_never_saw_its_rows() -> None:
    members, target, table = day_and_night()
    turned = np.where(FOLDS == 2, 1 - target, target)
    everything = np.ones(NUM_ROWS, dtype=np.bool_)
    of_part = [
        fits.blend("boosting", others_of(fits, everything)[2]).fitted.to_json()
        for fits in (Fits(members, truth, FOLDS, LOG_LOSS, table=table) for truth in (target, turned))
    ]
    assert of_part[0] == of_part[1]
    noise, columns = of_noise(1)
    labels = np.random.default_rng(2).integers(0, 2, NUM_ROWS)
    made = select(noise, labels, FOLDS, AUC, "boosting", table=columns)
    assert made.score_in_sample is not None
    assert made.score_in_sample > 0.75, "it learns its own rows by heart"
    assert made.score_honest == pytest.approx(0.5, abs=0.1)


def test_classes_labels_and_numbers_are_boosted_each_in_their_way() -> None:
    members, table = of_noise(3)
    truth = np.stack([of.argmax(axis=1) for of in members.values()])[0]
    seen = truth != 2
    some = {name: of[seen] for name, of in members.items()}
    fitted = Boosting().fit({**some, TABLE: table[seen]}, truth[seen], FOLDS[seen], LOG_LOSS)
    found = fitted.predict({**members, TABLE: table})[:]
    assert found[:, 2].max() < 1e-6, "no row was of this class"
    assert found.sum(axis=1) == pytest.approx(np.ones(NUM_ROWS), abs=1e-5)
    assert LOG_LOSS.score(truth[seen], found[seen]) < 0.5
    labels = np.stack([truth == 0, np.ones(NUM_ROWS), truth == 2], axis=1).astype(np.int64)
    answers = Boosting().fit(members, labels, FOLDS, LOG_LOSS).predict(members)[:]
    assert answers[:, 1].min() > 1 - 1e-6, "all rows have it"
    assert LOG_LOSS.score(labels, answers) < 0.3
    numbers = {name: 10 * of[:, :1] for name, of in members.items()}
    shifted = Boosting().fit(numbers, 5 + 30 * members["e0"][:, 0], FOLDS, RMSE).predict(numbers)[:]
    assert RMSE.score(5 + 30 * members["e0"][:, 0], shifted) < 1


def test_what_trees_make_no_sense_of_is_refused_by_name() -> None:
    members, _ = of_noise(3)
    numbers = {name: 10 * of[:, :1] for name, of in members.items()}
    boosting, shares = COMBINERS["boosting"](), of_shares(LOG_LOSS, "multiclass")
    with pytest.raises(DataError, match="'boosting': expected classes or labels, got soft targets"):
        boosting.fit(members, members["e0"], FOLDS, shares)
    with pytest.raises(DataError, match=r"'boosting': .* numbers such as ranks or log odds"):
        boosting.fit(numbers, FOLDS % 2, FOLDS, AUC)
    with pytest.raises(DataError, match="'boosting': expected classes, labels or numbers, got masks"):
        boosting.fit(members, (members["e0"] > 0.5).astype(np.uint8), FOLDS, metric_by_name("dice"))


def test_trees_of_nobody_knows_whom_lead_every_row_to_a_leaf_or_are_refused() -> None:
    members, target, table = day_and_night()
    fitted = Boosting().fit({**members, TABLE: table}, target, FOLDS, LOG_LOSS)
    assert isinstance(fitted, Boosted)
    kept = json.dumps(fitted.to_json())
    for name, value in (("left", 0), ("right", 10**6), ("feature", 99), ("roots", -1)):
        damaged = json.loads(kept)
        damaged["of_columns"][0][name][0] = value
        with pytest.raises(JsonShapeError, match="expected trees over 5 features"):
            Boosting().from_json(damaged)
    wrong: list[dict[str, JsonValue]] = [{"shares": [1.0]}, {"shares": [], "member_ids": []}]
    for few in wrong:
        with pytest.raises(JsonShapeError, match="expected a share for each of at least one member"):
            Boosting().from_json({**fitted.to_json(), **few})
    assert Trees(base=1.5).sums(np.zeros((2, 1))).tolist() == [1.5, 1.5]


def test_own_arrays_are_stacked_with_a_table_of_their_own() -> None:
    members, target, table = day_and_night()
    some = {name: of[:30] for name, of in members.items()}
    made = kaggle_ray.ensemble(
        members, target, FOLDS, "log_loss", method="boosting", table=table, test=some, test_table=table[:30]
    )
    assert made.test is not None
    assert np.array_equal(made.test, made.ensemble.apply(members, table.astype(np.float32))[:][:30])
    for wrong in (table[:5], table[:, 0], np.full((NUM_ROWS, 1), np.inf)):
        with pytest.raises(DataError, match=r"expected table as \(400, D\) numbers, NaN where one is missing"):
            kaggle_ray.ensemble(members, target, FOLDS, "log_loss", table=wrong)
    with pytest.raises(DataError, match="expected another name than"):
        kaggle_ray.ensemble({TABLE: table[:, :1]}, target, FOLDS, "log_loss")
