from __future__ import annotations

import numpy as np

from kaggle_ray.images import perceptual_hash
from kaggle_ray.images.perceptual_hash import low_frequencies, near_hashes, perceptual_hashes
from kaggle_ray.testing.planted import made_up_photograph


def grey(number: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    return np.stack([made_up_photograph(rng, side=64)[..., 0] for _ in range(number)]).astype(np.float32)


def test_a_hash_does_not_see_brightness_and_contrast() -> None:
    images = grey(4)
    assert np.array_equal(
        perceptual_hashes(low_frequencies(images)), perceptual_hashes(low_frequencies(images * 0.5 + 40))
    )


def test_hashes_of_unrelated_images_differ_in_about_half_of_their_bits() -> None:
    hashes = perceptual_hashes(low_frequencies(grey(20)))
    distances = np.bitwise_count(hashes[:, np.newaxis] ^ hashes[np.newaxis]).sum(axis=2)
    assert 54 < distances[np.triu_indices(20, 1)].mean() < 74


def test_near_hashes_are_those_of_a_comparison_of_all_with_all() -> None:
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, (300, 2), dtype=np.uint64)
    flips = rng.uniform(size=(300, 128)) < rng.uniform(0, 0.5, (300, 1))
    queries = hashes ^ np.packbits(flips, axis=1).view(np.uint64)
    low, high = (np.bitwise_count(queries[:, np.newaxis, word] ^ hashes[:, word]).astype(int) for word in (0, 1))
    near = (low + high <= perceptual_hash._MAX_DISTANCE) & (low <= perceptual_hash._MAX_LOW_DISTANCE)
    assert 100 < np.count_nonzero(near) < 300
    rows, columns = near_hashes(queries, hashes, at_most=300)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [tuple(pair) for pair in np.argwhere(near)]


def test_of_many_near_hashes_the_nearest_are_returned() -> None:
    base = np.zeros((1, 2), dtype=np.uint64)
    others = np.array([[0, 7], [0, 1], [0, 3], [0, 0]], dtype=np.uint64)
    rows, columns = near_hashes(base, others, at_most=2)
    assert (rows.tolist(), columns.tolist()) == ([0, 0], [3, 1])


def test_nothing_is_near_to_nothing() -> None:
    none = np.zeros((0, 2), dtype=np.uint64)
    assert near_hashes(none, none, at_most=3)[0].size == 0
