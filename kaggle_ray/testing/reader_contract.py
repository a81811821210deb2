"""The contract of a reader of files: call ``check_reader`` in a test of each one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kaggle_ray.data.reading import Reader
from kaggle_ray.untrusted import file_digest

_NUM_THREADS = 4


def check_reader(read: Reader, path: Path) -> None:
    """Check what the cache relies on: finite numbers of an image or of several, the same each time, in any thread.

    Args:
        read: what ``register_reader`` registers.
        path: a file that it reads, such as a test makes.

    Raises:
        AssertionError: it does not keep to it; or whatever the reader raised.
    """
    before = file_digest(path)
    array = read(path)
    assert isinstance(array, np.ndarray), f"expected an array, got {type(array).__name__}"
    assert array.dtype.kind in "uif", f"expected numbers, got {array.dtype}"
    assert array.ndim in (2, 3, 4), f"expected (H, W), (H, W, C) or (V, H, W, C), got {array.shape}"
    assert array.size, "the array is empty"
    assert bool(np.isfinite(array).all()), "a number is not finite"
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        for again in threads.map(read, [path] * _NUM_THREADS):
            assert np.array_equal(again, array), "the same file is read as another array"
    assert file_digest(path) == before, "the file is not the reader's to change"
