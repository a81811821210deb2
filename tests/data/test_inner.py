from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.data.inner import inner_split
from kaggle_ray.errors import FoldsError

ROWS = np.arange(200)[::2]
CLASSES = (np.arange(200) // 2) % 4
GROUPS = np.array([f"g{row // 10}" for row in range(200)])
TIMES = np.arange(200, dtype=np.float64)[::-1].copy()


@given(share=st.sampled_from([0.05, 0.1, 0.2, 0.34, 0.9]), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_every_training_row_is_on_one_side(share: float, seed: int) -> None:
    train, inner = inner_split("stratified", ROWS, share=share, seed=seed, target=CLASSES, groups=None, times=None)
    assert sorted([*train.tolist(), *inner.tolist()]) == ROWS.tolist()
    assert len(inner) == pytest.approx(len(ROWS) / max(2, round(1 / share)), abs=4)


def test_classes_keep_their_frequencies() -> None:
    _, inner = inner_split("stratified", ROWS, share=0.2, seed=0, target=CLASSES, groups=None, times=None)
    assert np.bincount(CLASSES[inner]).tolist() == [5, 5, 5, 5]


def test_classes_with_too_few_rows_are_assigned_by_chance() -> None:
    rare = np.arange(200)
    _, inner = inner_split("stratified", ROWS, share=0.1, seed=0, target=rare, groups=None, times=None)
    assert len(inner) == 10


def test_groups_stay_together() -> None:
    train, inner = inner_split("group", ROWS, share=0.2, seed=1, target=CLASSES, groups=GROUPS, times=None)
    assert not set(GROUPS[train]) & set(GROUPS[inner])
    assert len(inner)


def test_inner_rows_of_folds_by_time_are_the_latest() -> None:
    train, inner = inner_split("time", ROWS, share=0.25, seed=0, target=CLASSES, groups=None, times=TIMES)
    assert TIMES[train].max() < TIMES[inner].min()


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(FoldsError, match=r"needs at least 10 training rows, got 4"):
        inner_split("stratified", ROWS[:4], share=0.1, seed=0, target=CLASSES, groups=None, times=None)
