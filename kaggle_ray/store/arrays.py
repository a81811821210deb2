"""The bytes of .npy files, in chunks: an array need not be in memory to be written."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.types import StoredValues


def npy_chunks(blocks: Iterable[StoredValues], *, num_rows: int) -> Iterator[bytes]:
    """Yield the bytes of the .npy file of an array whose rows come in blocks: uint8 as it is, all else as float32.

    Args:
        blocks: (n, C) each, of one dtype, one below the other; at least one.
        num_rows: that they have together.

    Raises:
        ValueError: the blocks differ, or have another number of rows; by then a part of the file has been yielded.
    """
    expected: StoredValues | None = None
    num_seen = 0
    for block in blocks:
        kept = np.ascontiguousarray(block, dtype=np.uint8 if block.dtype == np.uint8 else np.float32)
        if expected is None:
            expected = kept[:0]
            yield _header((num_rows, *kept.shape[1:]), kept.dtype)
        if kept.shape[1:] != expected.shape[1:] or kept.dtype != expected.dtype:
            raise ValueError(f"expected blocks like {expected.shape} {expected.dtype}, got {kept.shape} {kept.dtype}")
        num_seen += len(kept)
        yield kept.tobytes()
    if expected is None or num_seen != num_rows:
        raise ValueError(f"expected {counted(num_rows, 'row')} in blocks, got {num_seen}")


def _header(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()
