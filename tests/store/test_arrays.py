from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.store.arrays import npy_chunks
from kaggle_ray.types import StoredValues


def saved(array: StoredValues) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    num_columns=st.integers(1, 5),
    dtype=st.sampled_from([np.uint8, np.float32]),
)
def test_blocks_make_the_file_that_numpy_saves(sizes: list[int], num_columns: int, dtype: type[np.generic]) -> None:
    array = (np.arange(sum(sizes) * num_columns).reshape(-1, num_columns) % 256).astype(dtype)
    blocks = np.split(array, np.cumsum(sizes)[:-1])
    assert b"".join(npy_chunks(blocks, num_rows=len(array))) == saved(array)


def test_all_but_bytes_becomes_float32_in_c_order() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert b"".join(npy_chunks([array], num_rows=2)) == saved(array.astype(np.float32, order="C"))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.zeros((2, 3)), np.zeros((1, 2))], r"expected blocks like \(0, 3\) float32, got \(1, 2\) float32"),
        ([np.zeros((2, 3)), np.zeros((1, 3), dtype=np.uint8)], r"expected blocks like \(0, 3\) float32, got .* uint8"),
        ([np.zeros((2, 3))], "expected 3 rows in blocks, got 2"),
        ([np.zeros((2, 3)), np.zeros((2, 3))], "expected 3 rows in blocks, got 4"),
        ([], "expected 3 rows in blocks, got 0"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(blocks: list[StoredValues], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(npy_chunks(blocks, num_rows=3))
