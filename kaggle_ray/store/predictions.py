"""Predictions of masks are kept as bytes: a quarter of the size, and finer than any threshold needs."""

from __future__ import annotations

import numpy as np

from kaggle_ray.rows import LazyRows, read_rows
from kaggle_ray.types import ByteArray, FloatArray, StoredValues


def quantised(values: FloatArray) -> ByteArray:
    """Return probabilities as uint8, 255 being 1."""
    return np.rint(values * 255).astype(np.uint8)


def as_floats(values: StoredValues) -> FloatArray:
    """Return values as float32; bytes are probabilities, 255 being 1."""
    floats = np.asarray(values, dtype=np.float32)
    return floats / np.float32(255) if values.dtype == np.uint8 else floats


def float_rows(values: StoredValues) -> LazyRows:
    """Return values (N, C), usually a memory map, as float32 rows that are read when they are asked for."""
    return LazyRows(values.shape, lambda rows: as_floats(read_rows(values, rows)))
