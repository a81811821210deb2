from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.rows import LazyRows, blocks, read_rows, select_rows, stacked
from kaggle_ray.types import BoolArray, FloatArray, IntArray

TABLE: FloatArray = np.arange(60, dtype=np.float32).reshape(20, 3)
LAZY = LazyRows(TABLE.shape, lambda rows: TABLE[rows])


def test_lazy_rows_read_as_an_array_does() -> None:
    assert len(LAZY) == 20
    for rows in (slice(None), slice(3, 7), slice(18, 40), np.array([5, 0, 5]), np.arange(20) % 2 == 0):
        assert LAZY[rows].tolist() == TABLE[rows].tolist()
    assert np.asarray(LAZY).tolist() == TABLE.tolist()


@pytest.mark.parametrize("chosen", [np.array([5, 0, 5, 19]), np.arange(20) > 7, np.zeros(0, dtype=np.int64)])
def test_chosen_rows_are_the_same_of_an_array_and_of_lazy_rows(chosen: IntArray | BoolArray) -> None:
    taken = select_rows(LAZY, chosen)
    assert isinstance(taken, LazyRows)
    assert taken.shape == select_rows(TABLE, chosen).shape
    assert taken[:].tolist() == select_rows(TABLE, chosen)[:].tolist()
    assert select_rows(taken, np.arange(len(taken))[::-1])[:].tolist() == TABLE[chosen][::-1].tolist()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.lists(st.integers(0, 10**6), max_size=12))
def test_stacked_parts_are_one_table(sizes: list[int], wanted: list[int]) -> None:
    table = np.arange(sum(sizes) * 2, dtype=np.float32).reshape(-1, 2)
    of_parts = stacked(np.split(table, np.cumsum(sizes)[:-1]))
    rows = np.array(wanted if len(table) else [], dtype=np.int64) % max(len(table), 1)
    assert of_parts[:].tolist() == table.tolist()
    assert of_parts[rows].tolist() == table[rows].tolist()


def test_parts_with_other_columns_are_not_stacked() -> None:
    with pytest.raises(ValueError, match=r"the same columns, got the shapes \[\(20, 3\), \(2, 1\)\]"):
        stacked([TABLE, np.zeros((2, 1))])


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5_000_000, 1), (100, 153_600), (3, 10_000_000)])
def test_blocks_cover_all_rows_once_and_none_is_large(shape: tuple[int, int]) -> None:
    rows = LazyRows(shape, lambda rows: rows)
    found = list(blocks(rows))
    assert [position for block in found for position in (block.start, block.stop)] == [
        *([0] if found else []),
        *(position for block in found[:-1] for position in (block.stop, block.stop)),
        *([shape[0]] if found else []),
    ]
    assert all(1 <= block.stop - block.start <= max(1, 2**20 // shape[1]) for block in found)


@pytest.mark.parametrize("view", [lambda array: array, lambda array: array[4:], lambda array: array[::2, 1:]])
def test_rows_of_a_memory_map_and_of_its_views_are_what_the_array_has(
    view: Callable[[FloatArray], FloatArray], tmp_path: Path
) -> None:
    np.save(tmp_path / "table.npy", TABLE)
    mapped = np.load(tmp_path / "table.npy", mmap_mode="r")
    rows = np.array([7, 0, 2, 2])
    read = read_rows(view(mapped), rows)
    assert read.tolist() == view(TABLE)[rows].tolist()
    assert not np.shares_memory(read, mapped)
