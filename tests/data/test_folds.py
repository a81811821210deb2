from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kaggle_ray.data.folds import FoldScheme, folds_digest, make_folds
from kaggle_ray.data.folds_csv import folds_from_csv, folds_to_csv, ids_by_fold
from kaggle_ray.data.head import Head
from kaggle_ray.errors import DataError, FoldsError
from kaggle_ray.metrics import ACCURACY
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.types import TRAIN_ONLY, BoolArray, Float64Array, Folds, IntArray, StrArray

HEADS = [Head(task="multiclass", classes=("cat", "dog", "owl"), metric=ACCURACY)]
TEST_IDS = np.array(["t1", "t2"])
THREE = FoldScheme(num_folds=3)


def some_rows(num_rows: int, seed: int = 0) -> tuple[StrArray, IntArray]:
    rng = np.random.default_rng(seed)
    ids = np.array([f"s{number}" for number in rng.permutation(num_rows)])
    return ids, rng.permutation(np.arange(num_rows) % 3)


def fold(
    ids: StrArray,
    target: IntArray,
    scheme: FoldScheme = THREE,
    train_only: BoolArray | None = None,
    test_ids: StrArray = TEST_IDS,
) -> Folds:
    samples = samples_of(ids, target, test_ids=test_ids, train_only=train_only)
    return make_folds(scheme, samples, heads=HEADS)


def load(
    text: str,
    folds: Folds,
    ids: StrArray,
    target: IntArray,
    scheme: FoldScheme = THREE,
    train_only: BoolArray | None = None,
    test_ids: StrArray = TEST_IDS,
) -> Folds:
    samples = samples_of(ids, target, test_ids=test_ids, train_only=train_only)
    return folds_from_csv(text, scheme, samples, expected_digest=folds.digest)


@given(
    num_rows=st.integers(36, 90),
    num_folds=st.integers(2, 6),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["stratified", "kfold"]),
)
@settings(max_examples=40)
def test_folds_partition_the_scored_rows(
    num_rows: int, num_folds: int, seed: int, kind: Literal["stratified", "kfold"]
) -> None:
    ids, target = some_rows(num_rows, seed)
    train_only = np.arange(num_rows) < 6
    scheme = FoldScheme(kind=kind, num_folds=num_folds, seed=seed)
    try:
        folds = fold(ids, target, scheme, train_only)
    except FoldsError:
        assume(kind == "stratified")  # a mere shuffle may leave a class out
        raise
    valid = [folds.valid_rows(number) for number in range(num_folds)]
    assert sorted(np.concatenate(valid).tolist()) == np.flatnonzero(~train_only).tolist()
    assert (folds.fold_of[train_only] == TRAIN_ONLY).all()
    assert max(map(len, valid)) - min(map(len, valid)) <= (1 if kind == "kfold" else 3)
    assert all(set(target[rows]) == {0, 1, 2} for rows in valid)


@given(st.permutations(range(30)))
@settings(max_examples=25)
def test_permuting_the_rows_permutes_the_folds(order: list[int]) -> None:
    ids, target = some_rows(30)
    train_only = np.arange(30) % 7 == 0
    folds = fold(ids, target, train_only=train_only)
    permuted = fold(ids[order], target[order], train_only=train_only[order], test_ids=TEST_IDS[::-1])
    assert permuted.fold_of.tolist() == folds.fold_of[order].tolist()
    assert permuted.digest == folds.digest
    assert folds_to_csv(permuted) == folds_to_csv(folds)


def test_stratified_folds_keep_the_class_frequencies() -> None:
    ids, _ = some_rows(30)
    target = (np.arange(30) >= 15).astype(np.int64) + (np.arange(30) >= 27)
    folds = fold(ids, target)
    assert [np.bincount(target[folds.valid_rows(k)]).tolist() for k in range(3)] == [[5, 4, 1]] * 3


def test_another_seed_makes_other_folds() -> None:
    ids, target = some_rows(30)
    one, other = fold(ids, target), fold(ids, target, FoldScheme(num_folds=3, seed=1))
    assert one.fold_of.tolist() != other.fold_of.tolist()
    assert one.digest != other.digest


def test_a_repeated_id_is_named() -> None:
    ids, target = some_rows(30)
    ids[3] = ids[4]
    with pytest.raises(DataError, match=f"the training rows: 1 id .* more than once: {ids[4]}"):
        fold(ids, target)


def test_an_id_in_train_and_test_is_named() -> None:
    ids, target = some_rows(30)
    with pytest.raises(DataError, match=r"1 id is in train and in test, such as \['s7'\]"):
        fold(ids, target, test_ids=np.array(["t1", "s7"]))


def test_arrays_of_different_length_are_an_error() -> None:
    ids, target = some_rows(30)
    with pytest.raises(DataError, match=r"differ in number: \[29, 30\]"):
        fold(ids, target[:29])


def test_fewer_rows_than_folds_are_an_error() -> None:
    ids, target = some_rows(6)
    with pytest.raises(FoldsError, match="each of 3 folds, got 2 rows"):
        fold(ids, target, train_only=np.arange(6) >= 2)


def test_a_class_with_fewer_rows_than_folds_is_named_with_its_count() -> None:
    ids, _ = some_rows(30)
    target = np.where(np.arange(30) < 2, 2, np.arange(30) % 2)
    with pytest.raises(FoldsError, match=r"class 'owl'.* got 2\. Use at most 2 folds, or mark all rows of the class"):
        fold(ids, target)


def test_a_class_without_rows_is_named() -> None:
    ids, target = some_rows(30)
    with pytest.raises(FoldsError, match="class 'owl' has no training rows"):
        fold(ids, target % 2)


def test_a_rare_class_may_be_trained_on_and_never_scored() -> None:
    ids, _ = some_rows(30)
    target = np.where(np.arange(30) < 2, 2, np.arange(30) % 2)
    folds = fold(ids, target, train_only=target == 2)
    assert all(set(target[folds.train_rows(k)]) == {0, 1, 2} for k in range(3))


def test_a_shuffle_that_leaves_a_class_out_of_a_fold_names_both() -> None:
    ids, _ = some_rows(60)
    target = np.where(np.arange(60) < 3, 2, np.arange(60) % 2)
    with pytest.raises(FoldsError, match=r"fold \d scores no row of class 'owl' with kind='kfold', seed=0"):
        fold(ids, target, FoldScheme(kind="kfold", num_folds=3))


@pytest.mark.parametrize("num_folds", [-1, 0, 1, 128])
def test_a_number_of_folds_out_of_range_is_an_error(num_folds: int) -> None:
    with pytest.raises(FoldsError, match=rf"expected 2\.\.127, got {num_folds}"):
        FoldScheme(num_folds=num_folds)


def test_the_largest_number_of_folds_fits() -> None:
    ids = np.array([f"s{number}" for number in range(381)])
    folds = fold(ids, np.arange(381) % 3, FoldScheme(num_folds=127))
    assert folds.fold_of.max() == 126


def test_a_misspelt_kind_and_a_seed_out_of_range_are_errors() -> None:
    with pytest.raises(FoldsError, match="Did you mean 'stratified'"):
        FoldScheme(kind="stratifed")  # type: ignore[arg-type]
    with pytest.raises(FoldsError, match="got -1"):
        FoldScheme(seed=-1)


def test_the_digest_depends_on_each_of_its_parts() -> None:
    ids, target = some_rows(6)
    fold_of = np.arange(6) % 2

    def digest(
        ids: StrArray = ids,
        fold_of: IntArray = fold_of,
        num_folds: int = 2,
        seed: int = 0,
        target: IntArray = target,
        test_ids: StrArray = TEST_IDS,
        groups: StrArray | None = None,
        times: Float64Array | None = None,
    ) -> str:
        samples = samples_of(ids, target, test_ids=test_ids, groups=groups, times=times)
        return folds_digest(samples, fold_of, num_folds=num_folds, seed=seed)

    others = {
        digest(ids=np.char.add(ids, "x")),
        digest(fold_of=1 - fold_of),
        digest(num_folds=3),
        digest(seed=1),
        digest(target=2 - target),
        digest(test_ids=TEST_IDS[:1]),
        digest(groups=ids),
        digest(groups=ids[::-1]),
        digest(times=np.arange(6.0)),
        digest(times=-np.arange(6.0)),
    }
    assert len(others | {digest()}) == 11
    assert all(len(value) == 12 for value in others)


def test_folds_are_the_same_after_a_round_trip_whatever_the_ids() -> None:
    ids = np.array(["007", "7", 'a,"b"', "é", " x ", "NA", "", "line\nbreak", "-1"])
    target = np.arange(9) % 3
    train_only = None
    folds = fold(ids, target)
    back = load(folds_to_csv(folds), folds, ids[::-1], target[::-1], train_only=train_only)
    assert back.fold_of.tolist() == folds.fold_of[::-1].tolist()
    assert (back.digest, back.num_folds, back.seed) == (folds.digest, 3, 0)


def test_the_csv_is_sorted_by_id() -> None:
    ids, target = some_rows(9)
    folds = fold(ids, target)
    header, *rows = folds_to_csv(folds).splitlines()
    assert header == "sample_id,fold"
    assert [row.split(",")[0] for row in rows] == sorted(ids)


def test_added_and_removed_rows_are_counted_and_named() -> None:
    ids, target = some_rows(30)
    folds = fold(ids, target)
    now = ids.copy()
    now[ids == "s5"] = "x1"
    with pytest.raises(FoldsError, match=r"1 were added \['x1'\] and 1 removed \['s5'\].*--run-id"):
        load(folds_to_csv(folds), folds, now, target)


def test_changed_labels_test_ids_or_scheme_are_an_error_with_both_digests() -> None:
    ids, target = some_rows(30)
    folds = fold(ids, target)
    text = folds_to_csv(folds)
    with pytest.raises(FoldsError, match=f"expected the digest {folds.digest}, got [0-9a-f]{{12}}"):
        load(text, folds, ids, 2 - target)
    with pytest.raises(FoldsError, match="expected the digest"):
        load(text, folds, ids, target, test_ids=np.array(["t1"]))
    with pytest.raises(FoldsError, match="expected the digest"):
        load(text, folds, ids, target, FoldScheme(num_folds=4))


def test_rows_that_became_train_only_are_an_error() -> None:
    ids, target = some_rows(30)
    folds = fold(ids, target)
    with pytest.raises(FoldsError, match="train-only: 2 of them"):
        load(folds_to_csv(folds), folds, ids, target, train_only=np.arange(30) < 2)


@pytest.mark.parametrize(
    "text", ["", "id,fold\n", "sample_id,fold\ns1\n", "sample_id,fold\ns1,x\n", "sample_id,fold\ns1,0\ns1,0\n"]
)
def test_a_damaged_file_is_an_error(text: str) -> None:
    ids, target = some_rows(30)
    with pytest.raises(FoldsError, match="damaged"):
        load(text, fold(ids, target), ids, target)


def test_the_ids_of_each_fold_are_read_without_the_rows() -> None:
    ids, target = some_rows(12)
    folds = fold(ids, target, train_only=np.arange(12) < 3)
    of_folds = ids_by_fold(folds_to_csv(folds))
    assert of_folds.keys() == {TRAIN_ONLY, 0, 1, 2}
    for number, of_fold in of_folds.items():
        assert set(of_fold.tolist()) == set(folds.sample_ids[folds.fold_of == number].tolist())
    with pytest.raises(FoldsError, match="damaged"):
        ids_by_fold("")
