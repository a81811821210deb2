from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.data.duplicate_groups import NearDuplicates, group_near_duplicates, merged_groups
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.samples import Samples
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.types import BoolArray, StrArray, Target

NUM_TRAIN, NUM_TEST = 40, 10
IDS = as_ids([f"a{row:02d}" for row in range(NUM_TRAIN)])
TEST_IDS = as_ids([f"b{row:02d}" for row in range(NUM_TEST)])


def rows(groups: StrArray | None = None, train_only: BoolArray | None = None) -> Samples:
    return samples_of(IDS, np.zeros(NUM_TRAIN), test_ids=TEST_IDS, train_only=train_only, groups=groups)


def grouped(
    *pairs: tuple[int, int],
    train_only: BoolArray | None = None,
    groups: StrArray | None = None,
    labels: Target | None = None,
    num_folds: int = 5,
    ordered: bool = False,
) -> tuple[NearDuplicates, StrArray | None]:
    return group_near_duplicates(
        np.array(pairs, dtype=np.int64).reshape(-1, 2),
        rows(groups, train_only),
        labels=labels,
        num_folds=num_folds,
        ordered=ordered,
    )


def only(*rows: int) -> BoolArray:
    return np.isin(np.arange(NUM_TRAIN), rows)


def test_near_duplicates_of_near_duplicates_are_one_group() -> None:
    near_duplicates, grouped_by = grouped((0, 3), (3, 7))
    assert [group.train_ids for group in near_duplicates.groups] == [("a00", "a03", "a07")]
    assert grouped_by is not None
    assert grouped_by[[0, 3, 7]].tolist() == ["a00"] * 3
    assert len(np.unique(grouped_by)) == NUM_TRAIN - 2


def test_without_near_duplicates_the_declared_groups_stay() -> None:
    assert grouped() == (NearDuplicates(), None)
    assert grouped(groups=IDS) == (NearDuplicates(), None)


@pytest.mark.parametrize("groups", [None, as_ids([f"car{row // 4}" for row in range(NUM_TRAIN)])])
def test_the_groups_of_the_folds_are_known_again_from_what_was_saved(groups: StrArray | None) -> None:
    near_duplicates, grouped_by = grouped((0, 3), (3, 7), (12, 39), (5, NUM_TRAIN + 2), groups=groups)
    saved = NearDuplicates.from_json(json.loads(json.dumps(near_duplicates.to_json())))
    again = merged_groups(saved, rows(groups))
    assert grouped_by is not None
    assert again is not None
    assert again.tolist() == grouped_by.tolist()
    assert merged_groups(NearDuplicates(), rows(groups)) is groups


def test_near_duplicates_join_their_declared_groups() -> None:
    groups = as_ids([f"car{row // 4}" for row in range(NUM_TRAIN)])
    _, grouped_by = grouped((0, 39), groups=groups)
    assert grouped_by is not None
    assert set(grouped_by[:4].tolist() + grouped_by[36:].tolist()) == {"car0"}
    assert grouped_by[4:36].tolist() == groups[4:36].tolist()


def test_a_test_row_is_reported_and_ties_its_training_near_duplicates() -> None:
    near_duplicates, grouped_by = grouped((1, NUM_TRAIN), (2, NUM_TRAIN), (5, NUM_TRAIN + 3))
    assert [(group.train_ids, group.test_ids, group.is_merged) for group in near_duplicates.groups] == [
        (("a01", "a02"), ("b00",), True),
        (("a05",), ("b03",), False),
    ]
    assert grouped_by is not None
    assert grouped_by[1] == grouped_by[2]
    assert "2 test rows have a near-duplicate in train" in near_duplicates.summary()


def test_a_pair_of_test_rows_is_nobodys_business() -> None:
    assert grouped((NUM_TRAIN, NUM_TRAIN + 1)) == (NearDuplicates(), None)


@pytest.mark.parametrize(("size", "is_too_large"), [(8, False), (9, True)])
def test_a_large_group_is_reported_and_not_merged(size: int, is_too_large: bool) -> None:
    near_duplicates, grouped_by = grouped(*((0, row) for row in range(1, size)))
    assert near_duplicates.groups[0].is_too_large == is_too_large
    assert near_duplicates.groups[0].is_merged != is_too_large
    assert (grouped_by is None) == is_too_large
    assert ("too large" in near_duplicates.summary()) == is_too_large


def test_a_group_larger_than_a_fold_is_too_large() -> None:
    assert grouped((0, 1), (0, 2), (0, 3), num_folds=14)[0].groups[0].is_too_large


def test_an_external_row_is_left_out_where_its_near_duplicate_is_scored() -> None:
    near_duplicates, grouped_by = grouped((0, 30), (31, 32), train_only=only(30, 31, 32))
    assert near_duplicates.left_out == ("a30",)
    assert [group.is_merged for group in near_duplicates.groups] == [False, True]
    assert grouped_by is not None
    assert grouped_by[0] != grouped_by[30]
    assert "1 train-only row is left out" in near_duplicates.summary()


def test_the_declared_group_of_an_external_near_duplicate_is_left_out_with_it() -> None:
    groups = IDS.copy()
    groups[[30, 31]] = "p"
    assert grouped((0, 30), train_only=only(30, 31, 32), groups=groups)[0].left_out == ("a30", "a31")


def test_an_external_row_in_a_declared_group_that_is_scored_is_left_to_the_user() -> None:
    groups = IDS.copy()
    groups[[1, 30]] = "p"
    assert grouped((0, 30), train_only=only(30), groups=groups)[0].left_out == ()


def test_near_duplicates_that_times_keep_apart_are_reported() -> None:
    near_duplicates, grouped_by = grouped((0, 1), ordered=True)
    assert grouped_by is None
    assert not near_duplicates.groups[0].is_merged
    assert "1 group is split between folds by time" in near_duplicates.summary()


def test_labels_that_differ_between_near_duplicates_are_reported() -> None:
    labels = np.zeros((NUM_TRAIN, 2), dtype=np.int64)
    labels[3, 1] = 1
    near_duplicates, _ = grouped((0, 1), (2, 3), labels=labels)
    assert [group.labels_differ for group in near_duplicates.groups] == [False, True]
    assert "in 1 group the labels differ" in near_duplicates.summary()


def test_near_duplicates_survive_their_json() -> None:
    near_duplicates, _ = grouped((0, 30), (1, NUM_TRAIN), train_only=only(30))
    assert NearDuplicates.from_json(json.loads(json.dumps(near_duplicates.to_json()))) == near_duplicates
    assert NearDuplicates.from_json(None) == NearDuplicates()


@settings(deadline=None, max_examples=50)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 24)), max_size=20),
    external=st.sets(st.integers(0, 19), max_size=8),
    num_groups=st.integers(0, 12),
    seed=st.integers(0, 2**16),
)
def test_nothing_depends_on_the_order_of_rows_and_pairs(
    pairs: list[tuple[int, int]], external: set[int], num_groups: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ids, test_ids = as_ids([f"a{row:02d}" for row in range(20)]), as_ids([f"b{row}" for row in range(5)])
    links = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    train_only = np.isin(np.arange(20), list(external))
    groups = as_ids([f"g{number}" for number in rng.integers(0, num_groups, 20)]) if num_groups else None
    order, test_order = rng.permutation(20), rng.permutation(5)
    position_of = np.concatenate([np.argsort(order), 20 + np.argsort(test_order)])
    samples = samples_of(ids, np.zeros(20), test_ids=test_ids, train_only=train_only, groups=groups)
    near_duplicates, grouped_by = group_near_duplicates(links, samples, labels=None, num_folds=2)
    reordered = samples_of(
        ids[order],
        np.zeros(20),
        test_ids=test_ids[test_order],
        train_only=train_only[order],
        groups=None if groups is None else groups[order],
    )
    again, grouped_again = group_near_duplicates(
        position_of[rng.permutation(links)], reordered, labels=None, num_folds=2
    )
    assert again == near_duplicates
    assert (grouped_by is None) == (grouped_again is None)
    if grouped_by is not None and grouped_again is not None:
        assert grouped_again.tolist() == grouped_by[order].tolist()
