"""Hands over the batches of an epoch in their order, whoever makes them: this thread, others, or other processes.

A CPU that trains has no cores to spare, so there each batch is made when it is asked for. Beside a GPU threads make
the next ones while it works: what they spend their time in, cv2 and numpy, lets other threads run. Processes of their
own, ``loader_workers``, are for augmentations that are written in Python; a batch then has to be handed over between
processes, which takes longer than most batches take to make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Subset

from kaggle_ray.config.settings import Settings
from kaggle_ray.train.batches import Batch, EpochBatches
from kaggle_ray.train.heartbeat import with_heartbeats

_Array = TypeVar("_Array", bound=npt.NDArray[Any])

_MAX_THREADS = 4
"""Threads that make batches ahead, at most: eight were no faster beside an H200."""
_LEAST_PINNED_BYTES = 1 << 16
"""Arrays that are smaller the driver takes at once."""


def load(batches: EpochBatches, settings: Settings, *, first: int = 0) -> Generator[Batch]:
    """Yield the pieces in their order from the piece ``first`` on; they are the same whoever makes them.

    What makes them ends with the iterator: close it where it is not iterated to its end.
    """
    numbers = range(first, len(batches))
    pieces: Iterable[Batch]
    if settings.loader_workers:
        parts = Subset(batches, numbers)
        pieces = DataLoader(parts, batch_size=None, num_workers=settings.loader_workers, shuffle=False)
    elif settings.device == "cuda":
        pieces = made_ahead(batches, numbers, num_threads=min(_MAX_THREADS, settings.threads_per_trial), pins=True)
    else:
        pieces = (batches[number] for number in numbers)
    yield from with_heartbeats(pieces, "training", num_total=len(numbers))


def made_ahead(
    batches: EpochBatches, numbers: Sequence[int], *, num_threads: int, pins: bool = False
) -> Generator[Batch]:
    """Yield the pieces ``numbers``, each of which a thread has begun while those before it were used.

    Args:
        batches: of the epoch.
        numbers: of the pieces, in the order in which they are yielded.
        num_threads: each makes one piece at a time; as many more wait to be asked for.
        pins: keep large arrays in memory from which a GPU copies by itself, so that nobody waits for it.
    """

    def make(number: int) -> Batch:
        return pinned(batches[number]) if pins else batches[number]

    threads = ThreadPoolExecutor(num_threads, thread_name_prefix="batches")
    begun: deque[Future[Batch]] = deque()
    try:
        for number in numbers:
            begun.append(threads.submit(make, number))
            if len(begun) > 2 * num_threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def pinned(batch: Batch) -> Batch:
    """Return ``batch`` with its large arrays in page-locked memory."""
    auxiliary = None if batch.auxiliary is None else _pinned(batch.auxiliary)
    return replace(batch, pixels=_pinned(batch.pixels), target=_pinned(batch.target), auxiliary=auxiliary)


def _pinned(array: _Array) -> _Array:
    if array.nbytes < _LEAST_PINNED_BYTES:
        return array
    return cast(_Array, torch.from_numpy(np.ascontiguousarray(array)).pin_memory().numpy())
