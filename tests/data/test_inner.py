from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.data.head import Head
from kaggle_ray.data.inner import inner_split
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import FoldsError
from kaggle_ray.metrics import ACCURACY, RMSE
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.types import Float64Array, Target

ROWS = np.arange(200)[::2]
CLASSES = (np.arange(200) // 2) % 4
GROUPS = np.array([f"g{row * 7 % 20}" for row in range(200)])
HEADS = [Head(task="multiclass", classes=tuple(f"c{number}" for number in range(200)), metric=ACCURACY)]
AGES = [Head(task="regression", metric=RMSE)]
TIMES = np.random.default_rng(0).permutation(np.arange(200.0))


def samples(target: Target = CLASSES, times: Float64Array | None = None) -> Samples:
    return samples_of(np.array([f"a{row}" for row in range(200)]), target, test_ids=np.array(["t"]), times=times)


@given(share=st.sampled_from([0.05, 0.1, 0.2, 0.34, 0.9]), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_every_training_row_is_on_one_side(share: float, seed: int) -> None:
    train, inner = inner_split("stratified", samples(), ROWS, share=share, seed=seed, groups=None, heads=HEADS)
    assert sorted([*train.tolist(), *inner.tolist()]) == ROWS.tolist()
    assert len(inner) == pytest.approx(len(ROWS) / max(2, round(1 / share)), abs=4)


def test_classes_keep_their_frequencies() -> None:
    _, inner = inner_split("stratified", samples(), ROWS, share=0.2, seed=0, groups=None, heads=HEADS)
    assert np.bincount(CLASSES[inner]).tolist() == [5, 5, 5, 5]


def test_classes_with_too_few_rows_are_split_by_chance() -> None:
    rare = np.arange(200)
    _, inner = inner_split("stratified", samples(target=rare), ROWS, share=0.1, seed=0, groups=None, heads=HEADS)
    assert len(inner) == 10


@pytest.mark.parametrize("target", [np.arange(200.0), np.arange(200.0) % 30, np.zeros(200), np.arange(200) ** 3.0])
def test_numbers_are_split_by_their_quantiles(target: Float64Array) -> None:
    _, inner = inner_split("stratified", samples(target), ROWS, share=0.1, seed=0, groups=None, heads=AGES)
    assert len(inner) == 10
    assert abs((target[inner] > np.median(target)).mean() - (target > np.median(target)).mean()) <= 0.1


def test_groups_stay_together() -> None:
    train, inner = inner_split("group", samples(), ROWS, share=0.2, seed=1, groups=GROUPS, heads=HEADS)
    assert not set(GROUPS[train]) & set(GROUPS[inner])
    assert len(inner)


def test_inner_rows_of_folds_by_time_are_the_latest() -> None:
    train, inner = inner_split("time", samples(times=TIMES), ROWS, share=0.25, seed=0, groups=None, heads=HEADS)
    assert TIMES[train].max() < TIMES[inner].min()


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(FoldsError, match=r"needs at least 10 training rows, got 4"):
        inner_split("stratified", samples(), ROWS[:4], share=0.1, seed=0, groups=None, heads=HEADS)
