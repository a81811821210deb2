from __future__ import annotations

import csv
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.data.assign_folds import FoldKind, assign_by_labels, assign_folds, strata_of
from kaggle_ray.data.folds import FoldScheme, make_folds
from kaggle_ray.data.folds_csv import folds_from_csv, folds_to_csv
from kaggle_ray.data.head import Head
from kaggle_ray.errors import FoldsError
from kaggle_ray.metrics import ACCURACY, F2, RMSE
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.types import TRAIN_ONLY, BoolArray, Float64Array, Folds, IntArray, StrArray, Target

PLANET = Path(__file__).resolve().parents[3] / "shared/data/planet-understanding-the-amazon-from-space/train_v2.csv"
TEST_IDS = np.array(["t"])


def split(
    scheme: FoldScheme,
    target: Target,
    *,
    groups: StrArray | None = None,
    times: Float64Array | None = None,
    train_only: BoolArray | None = None,
) -> Folds:
    ids = np.array([f"s{number:04d}" for number in range(len(target))])
    samples = samples_of(ids, target, test_ids=TEST_IDS, train_only=train_only, groups=groups, times=times)
    return make_folds(scheme, samples, heads=heads_of(target))


def heads_of(target: Target) -> tuple[Head, ...]:
    """Return a head of numbers, or for integers of labels: no label has to be in every fold."""
    if target.dtype.kind == "f":
        return (Head(task="regression", metric=RMSE),)
    num_labels = 1 if target.ndim == 1 else target.shape[1]
    return (Head(task="multilabel", classes=tuple(f"l{number}" for number in range(num_labels)), metric=F2),)


def deviation(labels: IntArray, fold_of: np.ndarray[tuple[int], np.dtype[np.int8]]) -> float:
    """Return the largest difference of a label's frequency in a fold from that in all rows."""
    folds = np.unique(fold_of)
    return float(max(np.abs(labels[fold_of == fold].mean(axis=0) - labels.mean(axis=0)).max() for fold in folds))


# Labels -------------------------------------------------------------------------------------------------------------


@given(st.integers(20, 200), st.integers(1, 5), st.integers(2, 5), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_labels_are_as_frequent_in_every_fold_as_their_number_allows(
    num_rows: int, num_labels: int, num_folds: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((num_rows, num_labels)) < rng.random(num_labels)).astype(np.int64)
    fold_of = assign_by_labels(labels, num_folds, rng)
    sizes = np.bincount(fold_of, minlength=num_folds)
    assert sizes.sum() == num_rows
    assert np.ptp(sizes) <= (1 if num_labels == 1 else num_labels + 2)
    counts = labels.sum(axis=0)
    if counts.any():
        rarest = np.where(counts > 0, counts, num_rows + 1).argmin()
        assert np.ptp([labels[fold_of == fold, rarest].sum() for fold in range(num_folds)]) <= 1


def test_the_rarer_a_label_the_more_even_it_is() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = (rng.random((60, 5)) < (0.5, 0.4, 0.3, 0.2, 0.1)).astype(np.int64)
        fold_of = assign_by_labels(labels, 5, rng)
        of_folds = np.array([labels[fold_of == fold].sum(axis=0) for fold in range(5)])
        rarest_first = np.argsort(labels.sum(axis=0), kind="stable")
        assert (np.ptp(of_folds, axis=0)[rarest_first] <= (1, 1, 1, 2, 3)).all(), seed


@pytest.mark.skipif(not PLANET.is_file(), reason="Planet's labels are not here")
def test_the_amazons_tags_are_ten_times_as_even_as_by_chance() -> None:
    with PLANET.open() as file:
        texts = [row["tags"].split() for row in csv.DictReader(file)]
    tags = sorted({tag for text in texts for tag in text})
    labels = np.array([[tag in text for tag in tags] for text in texts], dtype=np.int64)
    assert labels.shape == (40479, 17)
    started = time.perf_counter()
    fold_of = assign_by_labels(labels, 5, np.random.default_rng(0))
    assert time.perf_counter() - started < 30
    by_chance = np.random.default_rng(0).permutation(np.arange(len(labels)) % 5).astype(np.int8)
    assert deviation(labels, fold_of) < deviation(labels, by_chance) / 10
    rare = labels[:, labels.sum(axis=0).argmin()]
    counts = [rare[fold_of == fold].sum() for fold in range(5)]
    assert max(counts) - min(counts) <= 1


# Any kind -----------------------------------------------------------------------------------------------------------

KINDS: tuple[FoldKind, ...] = ("stratified", "kfold", "group", "stratified_group", "multilabel")
TARGETS: dict[str, Target] = {
    "classes": np.repeat([0, 1], [24, 12]),
    "labels": np.stack([np.arange(36) < 12, np.arange(36) // 2 % 2], axis=1).astype(np.int64),
    "numbers": np.sqrt(np.arange(36.0)),
}
GROUPS = {
    "none": None,
    "pairs": np.array([f"g{row // 2 * 7 % 18:02}" for row in range(36)]),
    "alone": np.array([f"g{row:02}" for row in range(36)]),
}


def kinds_of_folds() -> list[tuple[FoldKind, str, str]]:
    needy = ("group", "stratified_group")
    return [
        (kind, target, groups)
        for kind in KINDS
        for target in TARGETS
        for groups in GROUPS
        if groups != "none" or kind not in needy
    ]


@pytest.mark.parametrize(("kind", "of", "grouped"), [*kinds_of_folds(), ("time", "classes", "none")])
def test_a_rows_fold_goes_with_its_id_its_group_and_its_time_wherever_it_stands(
    kind: FoldKind, of: str, grouped: str
) -> None:
    rng, target, groups = np.random.default_rng(0), TARGETS[of], GROUPS[grouped]
    ids, times = np.array([f"s{row:03}" for row in range(36)]), rng.permutation(np.arange(36.0))
    external = np.zeros(36, dtype=np.bool_)
    external[np.argsort(times)[0] if groups is None else np.flatnonzero(groups == "g07")] = True

    def dealt(order: IntArray) -> Folds:
        samples = samples_of(
            ids[order], target[order], test_ids=TEST_IDS, train_only=external[order],
            groups=None if groups is None else groups[order], times=times[order],
        )  # fmt: skip
        return make_folds(FoldScheme(kind=kind, num_folds=3), samples, heads=heads_of(target))

    order = rng.permutation(36)
    folds, moved = dealt(np.arange(36)), dealt(order)
    assert moved.fold_of.tolist() == folds.fold_of[order].tolist()
    assert moved.digest == folds.digest
    assert set(folds.fold_of[~external].tolist()) >= {0, 1, 2}
    assert (folds.fold_of[external] == TRAIN_ONLY).all()
    if groups is not None:
        assert len({*zip(groups.tolist(), folds.fold_of.tolist(), strict=True)}) == len(np.unique(groups))


@pytest.mark.parametrize(("kind", "of", "grouped"), kinds_of_folds())
def test_another_seed_deals_the_rows_of_any_kind_anew(kind: FoldKind, of: str, grouped: str) -> None:
    dealt = {
        tuple(assign_folds(kind, 3, seed, target=TARGETS[of], groups=GROUPS[grouped], times=None).tolist())
        for seed in range(4)
    }
    assert len(dealt) > 1


@pytest.mark.parametrize(
    ("kind", "grouped"),
    [("kfold", "none"), ("kfold", "pairs"), ("kfold", "alone"), ("group", "pairs"), ("group", "alone")],
)
def test_a_mere_shuffle_does_not_look_at_what_is_predicted(kind: FoldKind, grouped: str) -> None:
    one, other = (
        assign_folds(kind, 3, 0, target=target, groups=GROUPS[grouped], times=None)
        for target in (TARGETS["classes"], TARGETS["classes"][::-1])
    )
    assert one.tolist() == other.tolist()


# Groups -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["group", "stratified_group", "stratified", "kfold", "multilabel"])
def test_the_rows_of_a_group_stay_together(kind: str) -> None:
    rng = np.random.default_rng(0)
    groups = np.array([f"g{number}" for number in rng.integers(0, 30, 200)])
    target = rng.integers(0, 2, (200, 3)) if kind == "multilabel" else rng.integers(0, 3, 200)
    folds = split(FoldScheme(kind=kind, num_folds=4), target, groups=groups)  # type: ignore[arg-type]
    assert set(folds.fold_of.tolist()) == {0, 1, 2, 3}
    for group in set(groups.tolist()):
        assert len(set(folds.fold_of[groups == group].tolist())) == 1


@pytest.mark.parametrize("kind", ["stratified", "stratified_group", "multilabel"])
@pytest.mark.parametrize("are_grouped", [False, True])
def test_rows_of_labels_are_stratified_by_all_of_them(kind: FoldKind, are_grouped: bool) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((400, 3)) < (0.5, 0.3, 0.02)).astype(np.int64)
    groups = np.array([f"g{row // 2}" for row in range(400)]) if are_grouped else None
    if kind == "stratified_group" and groups is None:
        groups = np.array([f"g{row}" for row in range(400)])
    fold_of = assign_folds(kind, 4, 0, target=labels, groups=groups, times=None)
    rare = np.bincount(fold_of, weights=labels[:, 2], minlength=4)
    assert np.ptp(rare) <= 1, rare


@pytest.mark.parametrize("kind", ["stratified", "stratified_group"])
def test_whole_groups_are_stratified_by_all_their_rows(kind: FoldKind) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([f"g{group:03}" for group in range(120)], 5)
    target = (rng.random(600) < np.repeat(rng.permutation(120) < 20, 5) * 0.6).astype(np.int64)
    fold_of = assign_folds(kind, 4, 0, target=target, groups=groups, times=None)
    assert np.ptp(np.bincount(fold_of)) <= 10
    assert np.ptp(np.bincount(fold_of, weights=target)) <= 5


@pytest.mark.parametrize("kind", ["stratified", "stratified_group", "kfold"])
def test_a_few_groups_among_many_single_rows_change_the_frequencies_by_as_many_rows_at_most(kind: FoldKind) -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 4, 20_000)
    groups = np.array([f"g{row}" for row in range(len(target))])
    pairs = rng.permutation(len(target))[:40].reshape(-1, 2)
    groups[pairs[:, 1]] = groups[pairs[:, 0]]
    fold_of = assign_folds(kind, 5, 0, target=target, groups=groups, times=None)
    assert (fold_of[pairs[:, 0]] == fold_of[pairs[:, 1]]).all()
    assert np.ptp(np.bincount(fold_of)) <= len(pairs)
    if kind != "kfold":
        per_fold = np.array([np.bincount(target[fold_of == fold], minlength=4) for fold in range(5)])
        assert np.ptp(per_fold, axis=0).max() <= len(pairs)


def test_groups_that_are_needed_and_missing_or_too_few_are_told() -> None:
    with pytest.raises(FoldsError, match="kind 'group': the competition's samples have no groups"):
        split(FoldScheme(kind="group"), np.arange(20))
    with pytest.raises(FoldsError, match="at least one group for each of 5 folds, got 2 groups"):
        split(FoldScheme(kind="group"), np.arange(20), groups=np.array(["a", "b"] * 10))


def test_an_external_row_may_not_belong_to_a_group_that_is_scored() -> None:
    groups = np.array([f"g{number % 10}" for number in range(40)])
    with pytest.raises(FoldsError, match=r"1 group has rows that are scored and rows that every fold trains on"):
        split(FoldScheme(kind="group"), np.arange(40), groups=groups, train_only=np.arange(40) == 3)
    ids, target = np.array([f"s{row:02}" for row in range(40)]), np.arange(40) % 2
    samples = samples_of(ids, target, test_ids=TEST_IDS, train_only=np.arange(40) == 3)
    with pytest.raises(FoldsError, match="1 group has rows that are scored and rows that every fold trains on"):
        make_folds(FoldScheme(), samples, heads=heads_of(target), grouped_by=groups)


# Numbers, time, a holdout -------------------------------------------------------------------------------------------


def test_numbers_are_stratified_by_their_quantiles() -> None:
    target = np.random.default_rng(0).lognormal(size=500)
    folds = split(FoldScheme(), target)
    means = [np.log(target[folds.valid_rows(fold)]).mean() for fold in range(5)]
    assert np.std(means) < 0.05
    assert len(np.unique(strata_of(target, 5))) == 10


@pytest.mark.parametrize("num_folds", [2, 3, 5, 10])
@pytest.mark.parametrize(
    "kind_of_numbers", ["prices", "ages", "continuous", "mostly zero", "all equal", "two values", "huge", "one is rare"]
)
@pytest.mark.parametrize("num_rows", [10, 11, 23, 100, 1000, 3000])
def test_any_numbers_are_assigned_to_even_folds_whole_or_not_many_or_few(
    num_rows: int, kind_of_numbers: str, num_folds: int
) -> None:
    rng = np.random.default_rng(num_rows)
    target = {
        "prices": 1000.0 * rng.permutation(num_rows),
        "ages": rng.integers(1, 90, num_rows).astype(np.float64),
        "continuous": rng.normal(size=num_rows),
        "mostly zero": np.where(rng.random(num_rows) < 0.9, 0, rng.random(num_rows)),
        "all equal": np.full(num_rows, 7.0),
        "two values": (np.arange(num_rows) % 2).astype(np.float64),
        "huge": -(10 ** rng.uniform(0, 29, num_rows)),
        "one is rare": np.where(np.arange(num_rows) == 0, 9.0, np.arange(num_rows) % 3),
    }[kind_of_numbers]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = split(FoldScheme(num_folds=num_folds), target)
    sizes = np.bincount(folds.fold_of, minlength=num_folds)
    assert sizes.min() >= 1
    assert np.ptp(sizes) <= 2
    assert np.unique(strata_of(target, num_folds), return_counts=True)[1].min() >= num_folds


def test_prices_are_stratified_just_as_the_same_prices_with_cents() -> None:
    prices = 1000.0 * np.random.default_rng(0).permutation(500)
    assert split(FoldScheme(), prices).fold_of.tolist() == split(FoldScheme(), prices + 0.37).fold_of.tolist()


def test_a_few_grades_that_are_numbers_are_a_stratum_each() -> None:
    grades = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0], [50, 10, 25, 5, 10])
    folds = split(FoldScheme(), grades)
    for fold in range(5):
        assert np.bincount(grades[folds.valid_rows(fold)].astype(int)).tolist() == [10, 2, 5, 1, 2]


@pytest.mark.parametrize("kind", ["stratified", "stratified_group", "group", "kfold", "multilabel"])
@pytest.mark.parametrize("num_rows", [6, 11, 40])
def test_few_numbers_in_groups_are_assigned_without_a_traceback(kind: FoldKind, num_rows: int) -> None:
    groups = np.array([f"g{row // 2}" for row in range(num_rows)])
    target = np.random.default_rng(0).normal(size=num_rows)
    folds = split(FoldScheme(kind=kind, num_folds=3), target, groups=groups)
    assert set(folds.fold_of.tolist()) == {0, 1, 2}


def test_of_several_heads_rows_are_stratified_by_the_first_that_is_of_classes() -> None:
    price = Head(name="price", task="regression", metric=RMSE)
    kind = Head(name="kind", task="multiclass", classes=("a", "b"), metric=ACCURACY)
    rng = np.random.default_rng(0)
    target = np.stack([rng.permutation(100), (np.arange(100) < 30).astype(np.float64)], axis=1)
    ids = np.array([f"s{row:03}" for row in range(100)])
    folds = make_folds(FoldScheme(), samples_of(ids, target, test_ids=TEST_IDS), heads=(price, kind))
    assert [int(target[folds.valid_rows(fold), 1].sum()) for fold in range(5)] == [6] * 5


def test_of_several_heads_of_two_classes_rows_are_stratified_by_all() -> None:
    heads = tuple(Head(name=name, task="binary", classes=("no", "yes"), metric=ACCURACY) for name in ("ill", "old"))
    target = np.stack([np.arange(100) < 50, np.arange(100) % 10 == 0], axis=1).astype(np.int64)
    ids = np.array([f"s{row:03}" for row in range(100)])
    folds = make_folds(FoldScheme(), samples_of(ids, target, test_ids=TEST_IDS), heads=heads)
    assert [target[folds.valid_rows(fold)].sum(axis=0).tolist() for fold in range(5)] == [[10, 2]] * 5


@pytest.mark.parametrize("are_grouped", [False, True])
@pytest.mark.parametrize("kind", ["stratified", "multilabel"])
def test_several_heads_whose_classes_all_are_rare_are_assigned_by_chance(kind: FoldKind, are_grouped: bool) -> None:
    heads = (
        Head(name="breed", task="multiclass", classes=tuple(f"c{n}" for n in range(15)), metric=ACCURACY),
        Head(name="age", task="multiclass", classes=("old", "young"), metric=ACCURACY),
    )
    target = np.stack([np.arange(30) // 2, np.arange(30) % 2], axis=1)
    ids = np.array([f"s{row:03}" for row in range(30)])
    samples = samples_of(ids, target, test_ids=TEST_IDS, groups=np.roll(ids[::2].repeat(2), 1) if are_grouped else None)
    folds = make_folds(FoldScheme(kind=kind), samples, heads=heads)
    assert np.bincount(folds.fold_of).min() >= 4


def test_a_span_of_time_is_scored_by_models_of_earlier_rows_only() -> None:
    times = np.random.default_rng(0).random(300)
    folds = split(FoldScheme(kind="time", num_folds=4), np.arange(300) % 2, times=times)
    assert folds.forward
    assert folds.num_folds == 4
    groups = np.array([f"g{row % 60}" for row in range(300)])  # what is of one group may be of different moments
    grouped = split(FoldScheme(kind="time", num_folds=4), np.arange(300) % 2, times=times, groups=groups)
    assert grouped.fold_of.tolist() == folds.fold_of.tolist()
    scored = np.concatenate([folds.valid_rows(fold) for fold in range(4)])
    assert len(scored) == len(set(scored.tolist())) == len(folds.scored_rows())
    for fold in range(4):
        assert times[folds.train_rows(fold)].max() < times[folds.valid_rows(fold)].min()
    samples = samples_of(folds.sample_ids, np.arange(300) % 2, test_ids=TEST_IDS, times=times)
    scheme = FoldScheme(kind="time", num_folds=4)
    again = folds_from_csv(folds_to_csv(folds), scheme, samples, expected_digest=folds.digest)
    assert again.fold_of.tolist() == folds.fold_of.tolist()


def test_times_that_are_missing_are_told() -> None:
    with pytest.raises(FoldsError, match="samples have no times"):
        split(FoldScheme(kind="time"), np.arange(50))
    with pytest.raises(FoldsError, match="1 row has no time"):
        split(FoldScheme(kind="time"), np.arange(50), times=np.where(np.arange(50) == 3, np.nan, 1.0))
    with pytest.raises(FoldsError, match="too few moments for 4 folds and an earlier span"):  # nobody is to learn from
        split(FoldScheme(kind="time", num_folds=4), np.arange(50), times=np.maximum(np.arange(50.0), 12.0))


@pytest.mark.parametrize("holdout", [False, True])
@pytest.mark.parametrize("time_of_external", [-1.0, 12.0, 30.5, 99.0])
def test_external_rows_of_the_scored_rows_future_are_refused(time_of_external: float, holdout: bool) -> None:
    is_late = time_of_external >= (36 if holdout else 12)
    external = np.arange(50) == 49
    scheme, times = (
        FoldScheme(kind="time", num_folds=3, holdout=holdout),
        np.where(external, time_of_external, np.arange(50.0)),
    )
    if not is_late:
        folds = split(scheme, np.arange(50), times=times, train_only=external)
        assert folds.fold_of[49] == TRAIN_ONLY
        return
    with pytest.raises(FoldsError, match="1 train-only row is not earlier than the first row that is scored"):
        split(scheme, np.arange(50), times=times, train_only=external)


def test_a_holdout_scores_one_fold_and_trains_on_the_others() -> None:
    folds = split(FoldScheme(holdout=True), np.arange(100) % 2)
    assert folds.num_folds == 1
    assert len(folds.valid_rows(0)) == 20
    assert len(folds.train_rows(0)) == 80
    assert np.count_nonzero(folds.fold_of == TRAIN_ONLY) == 80


def test_groups_and_times_are_part_of_the_digest() -> None:
    target, groups = np.arange(40) % 2, np.array([f"g{number % 20}" for number in range(40)])
    plain = split(FoldScheme(), target)
    assert split(FoldScheme(), target, groups=groups).digest != plain.digest
    assert split(FoldScheme(), target, times=np.arange(40.0)).digest != plain.digest
