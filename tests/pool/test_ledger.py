from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.errors import LeakError
from kaggle_ray.pool.ledger import check_lineage, check_place, rows_in
from kaggle_ray.types import TRAIN_ONLY, Folds, Lineage, Predictions, Trial

FOLDS = Folds(
    sample_ids=np.array(["a", "b", "c", "d", "e"]),
    fold_of=np.array([0, 1, 0, 1, TRAIN_ONLY], dtype=np.int8),
    num_folds=2,
    seed=0,
    digest="d" * 12,
)
TRIAL = Trial(experiment_id="0" * 12, fold=0)


def predictions(trained: str, *, digest: str = FOLDS.digest) -> Predictions:
    rows = np.isin(FOLDS.sample_ids, list(trained))
    return Predictions(
        sample_ids=np.array(["a", "c"]),
        values=np.zeros((2, 1), dtype=np.float32),
        lineage=Lineage(folds_digest=digest, trained_rows=rows),
    )


@pytest.mark.parametrize("trained", ["", "b", "bd", "bde"])
def test_rows_of_other_folds_and_train_only_rows_may_be_trained_on(trained: str) -> None:
    check_lineage(TRIAL, predictions(trained), FOLDS)


@pytest.mark.parametrize(("trained", "seen"), [("a", "'a'"), ("bcd", "'c'"), ("abcde", "'a'")])
def test_a_row_that_the_fold_scores_may_not_be_trained_on(trained: str, seen: str) -> None:
    with pytest.raises(LeakError, match=rf"{TRIAL}: was trained on .* such as .*{seen}"):
        check_lineage(TRIAL, predictions(trained), FOLDS)


@pytest.mark.parametrize(
    ("fold", "trained", "seen"),
    [(0, "bd", "'b'"), (0, "e", None), (1, "ace", None), (1, "abe", "'b'"), (0, "ad", "'a'")],
)
def test_a_model_of_a_span_of_time_may_have_seen_earlier_rows_only(fold: int, trained: str, seen: str | None) -> None:
    folds, trial = dataclasses.replace(FOLDS, forward=True), dataclasses.replace(TRIAL, fold=fold)
    if seen is None:
        check_lineage(trial, predictions(trained), folds)
    else:
        with pytest.raises(LeakError, match=rf"rows that it scores or that are later, such as .*{seen}"):
            check_lineage(trial, predictions(trained), folds)


def test_another_fold_plan_is_a_leak() -> None:
    with pytest.raises(LeakError, match="expected predictions under fold plan dddddddddddd, got eeeeeeeeeeee"):
        check_lineage(TRIAL, predictions("b", digest="e" * 12), FOLDS)


def test_predictions_that_say_nothing_of_what_they_saw_are_a_leak() -> None:
    silent = dataclasses.replace(predictions("b"), lineage=None)
    short = dataclasses.replace(silent, lineage=Lineage(folds_digest=FOLDS.digest, trained_rows=np.zeros(4, np.bool_)))
    for unproven in (silent, short):
        with pytest.raises(LeakError, match="does not say which of the 5 rows"):
            check_lineage(TRIAL, unproven, FOLDS)


@pytest.mark.parametrize(
    ("digest", "scored", "message"),
    [
        ("e" * 12, ["a", "c"], "expected a model under fold plan dddddddddddd, got eeeeeeeeeeee"),
        (FOLDS.digest, ["b", "d"], "2 rows are not predicted, such as 'a'"),
        (FOLDS.digest, [], "2 rows are not predicted, such as 'a'"),
        (FOLDS.digest, ["c", "a", "b"], "1 row is predicted that should not be, such as 'b'"),
    ],
)
def test_a_model_of_other_rows_or_folds_is_out_of_place(digest: str, scored: list[str], message: str) -> None:
    def check(digest: str, scored: list[str]) -> None:
        check_place(
            TRIAL,
            Lineage(folds_digest=digest, trained_rows=np.zeros(5, np.bool_)),
            scored_ids=np.array(scored, dtype=np.str_),
            expected_ids=np.array(["a", "c"]),
            folds_digest=FOLDS.digest,
        )

    check(FOLDS.digest, ["c", "a"])
    with pytest.raises(LeakError, match=message):
        check(digest, scored)


@given(data=st.data(), ids=st.lists(st.text(max_size=3).filter(lambda text: "\0" not in text), unique=True, min_size=1))
def test_rows_in_finds_each_id_whatever_the_order(data: st.DataObject, ids: list[str]) -> None:
    wanted = np.array(data.draw(st.permutations(ids)))
    given_ids = np.array(ids)
    assert given_ids[rows_in(given_ids, wanted, where="here")].tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "c", "b"], "here: 1 row is predicted more than once, such as .*'b'"),
        (["a", "c"], "here: 1 row is not predicted, such as .*'b'"),
        (["a", "b", "c", "x"], "here: 1 row is predicted that should not be, such as .*'x'"),
        ([], "here: 3 rows are not predicted"),
    ],
)
def test_rows_in_wants_exactly_the_ids(ids: list[str], message: str) -> None:
    with pytest.raises(LeakError, match=message):
        rows_in(np.array(ids, dtype=np.str_), np.array(["a", "b", "c"]), where="here")
