"""Random numbers that are a function of (seed, fold, epoch, sample id) and of nothing else.

Whatever the batch, the order, the process or the number of loader workers, a sample gets the same numbers. All is
integer arithmetic of 64 bits, so it is also the same on every machine and with every version of numpy.

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
Shape suffixes: N samples, P random numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from kaggle_ray.types import FloatArray, IntArray

Keys = npt.NDArray[np.uint64]
"""(N,) numbers of 64 bits, one for each sample: all that its randomness is a function of."""

NUM_DRAWS = 16
"""Uniform numbers that our own recipes use of each sample."""

_NO_FOLD = -1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def id_hashes(sample_ids: Iterable[str]) -> Keys:
    """Return (N,) the first 64 bits of BLAKE2b of each id; made once, it serves every epoch."""
    return np.array([_hash_of(sample_id) for sample_id in sample_ids], dtype=np.uint64)


def sample_keys(seed: int, fold: int, epoch: int, hashes: Keys) -> Keys:
    """Return (N,) the samples' keys in one epoch.

    Args:
        seed: of the experiment.
        fold: that is being trained.
        epoch: 1 for the first.
        hashes: (N,) from ``id_hashes``.
    """
    of_epoch = np.uint64(_hash_of(f"{seed} {fold} {epoch}"))
    return _mix(_mix(hashes) ^ of_epoch)


def repeated_keys(keys: Keys, repeats: IntArray) -> Keys:
    """Return (N,) other keys for samples that came before in the epoch, ``repeats`` (N,) times; of 0 the same."""
    others = _mix(keys ^ _mix(repeats.astype(np.uint64) * _GOLDEN))
    return np.where(repeats == 0, keys, others)


def keys_of_copy(seed: int, copy: int, hashes: Keys) -> Keys:
    """Return (N,) the samples' keys of one of several copies, 0 for the first, that all folds share."""
    return sample_keys(seed, _NO_FOLD, copy, hashes)


def draws_of(keys: Keys, num_draws: int = NUM_DRAWS) -> FloatArray:
    """Return (N, P) uniform numbers, 0 included and 1 not, in steps of 2**-24."""
    steps = _GOLDEN * np.arange(1, num_draws + 1, dtype=np.uint64)
    bits = _mix(keys[:, None] + steps) >> np.uint64(40)
    return bits.astype(np.float32) * np.float32(2.0**-24)


def _hash_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(numbers: Keys) -> Keys:
    """Return SplitMix64's finalizer of each number: one to one, each bit in changes half of those out."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
