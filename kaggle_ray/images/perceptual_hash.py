"""Perceptual hashes of small grey images, and the search for those that differ in few bits.

A hash is the signs of the lowest frequencies of an image. Scaling and re-encoding leave most of them as they are; a
crop moves them. So every image has several hashes: of its whole, and of parts that lie half way to a crop of it.

Shape legend: N images, S pixels of a side, K frequencies of an axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy.fft import dct

from kaggle_ray.cpus import num_cpus
from kaggle_ray.types import FloatArray, IntArray

Hashes = npt.NDArray[np.uint64]
"""(N, 2) hashes of 128 bits, those of the lower frequencies first."""

WHOLE = (0.0, 1.0)
PARTS = (WHOLE, (0.0125, 0.9625), (0.0375, 0.9875))
"""What of each axis a hash is of, so that one of them is near to any crop of up to 5% at either end."""
_MAX_DISTANCE = 38
"""Bits of 128. Unrelated photographs differ in 64, +-6; tests/benchmarks/near_duplicates.py counts what is missed."""
_MAX_LOW_DISTANCE = 20
"""Bits of the lower 64: hashes that differ in more of them are not compared further."""
_NUM_BITS, _NUM_FREQUENCIES, _NUM_SAMPLES = 128, 16, 32
_TINY = 1e-6
_BLOCK_ROWS, _BLOCK_COLUMNS = 64, 8192
"""Pairs that are compared at once: they fit a core's cache."""


def low_frequencies(images: FloatArray, part: tuple[float, float] = WHOLE) -> FloatArray:
    """Return (N, 128) the lowest frequencies of ``images`` (N, S, S), or of a part of each axis, as unit vectors.

    A frequency weighs as much as it is high, so that photographs, whose low ones are strong, are told by all of them.
    """
    basis = dct(np.eye(_NUM_SAMPLES), norm="ortho", axis=0)[:_NUM_FREQUENCIES]
    projection = (basis @ _area_means(part, images.shape[1])).astype(np.float32)
    rows, columns = _lowest()
    found = (projection @ images @ projection.T)[:, rows, columns] * (rows + columns)
    return np.asarray(found / (np.linalg.norm(found, axis=1, keepdims=True) + _TINY))


def perceptual_hashes(frequencies: FloatArray) -> Hashes:
    """Return (N, 2) the signs of ``low_frequencies``.

    Source: C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010 (the DCT hash).
    """
    return np.ascontiguousarray(np.packbits(frequencies > 0, axis=1)).view(np.uint64)


def _area_means(part: tuple[float, float], side: int) -> npt.NDArray[np.float64]:
    """Return (_NUM_SAMPLES, side) weights: a sample is the mean of the pixels that it covers, in shares."""
    edges = np.linspace(part[0] * side, part[1] * side, _NUM_SAMPLES + 1)
    pixels = np.arange(side)
    covered = np.minimum(edges[1:, np.newaxis], pixels + 1) - np.maximum(edges[:-1, np.newaxis], pixels)
    weights = np.clip(covered, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _lowest() -> tuple[IntArray, IntArray]:
    """Return rows and columns of the 128 lowest frequencies; the mean brightness is not one of them."""
    side = range(_NUM_FREQUENCIES)
    by_sum = sorted((row + column, max(row, column), row, column) for row in side for column in side if row + column)
    places = np.array(by_sum[:_NUM_BITS], dtype=np.int64)
    return places[:, 2], places[:, 3]


def near_hashes(queries: Hashes, hashes: Hashes, *, at_most: int) -> tuple[IntArray, IntArray]:
    """Return the positions in ``queries`` (Q, 2) and ``hashes`` (N, 2) of the pairs that differ in few bits.

    All are compared with all, by a thread per core. Of each query the ``at_most`` nearest are returned, of equally near
    ones the first.
    """
    none = np.zeros(0, dtype=np.int64)
    if not len(queries) or not len(hashes):
        return none, none
    starts = range(0, len(queries), _BLOCK_ROWS)

    def search(start: int) -> tuple[IntArray, IntArray]:
        rows, columns = _nearest(queries[start : start + _BLOCK_ROWS], hashes, at_most)
        return rows + start, columns

    with ThreadPoolExecutor(num_cpus()) as pool:
        found = list(pool.map(search, starts))
    return np.concatenate([rows for rows, _ in found]), np.concatenate([columns for _, columns in found])


def _nearest(queries: Hashes, hashes: Hashes, at_most: int) -> tuple[IntArray, IntArray]:
    """Return the pairs of a block of queries with all hashes, ordered by query, then distance, then position."""
    parts = list(_within_distance(queries, hashes))
    rows, columns, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((columns, distances, rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    return rows[rank < at_most], columns[rank < at_most]


def _within_distance(queries: Hashes, hashes: Hashes) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Yield query, hash and distance of the pairs within _MAX_DISTANCE, block of hashes by block of hashes."""
    low_queries, low_hashes = np.ascontiguousarray(queries[:, 0]), np.ascontiguousarray(hashes[:, 0])
    room = len(queries) * min(_BLOCK_COLUMNS, len(hashes))
    differing, counts = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.uint8)
    for start in range(0, len(hashes), _BLOCK_COLUMNS):
        block = low_hashes[start : start + _BLOCK_COLUMNS]
        num = len(queries) * len(block)
        shape = len(queries), len(block)
        np.bitwise_xor(low_queries[:, np.newaxis], block[np.newaxis], out=differing[:num].reshape(shape))
        np.bitwise_count(differing[:num], out=counts[:num])
        places = np.flatnonzero(counts[:num] <= _MAX_LOW_DISTANCE)
        rows, columns = np.divmod(places, len(block))
        high = np.bitwise_count(queries[rows, 1] ^ hashes[start + columns, 1])
        distances = counts[places].astype(np.int64) + high
        near = distances <= _MAX_DISTANCE
        yield rows[near].astype(np.int64), (start + columns[near]).astype(np.int64), distances[near]
