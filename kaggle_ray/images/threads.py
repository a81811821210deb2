"""Work on many files by a thread per core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

from kaggle_ray.cpus import num_cpus
from kaggle_ray.progress import Stage, each_counted

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_CHUNK = 32
_CHUNKS_PER_THREAD = 8
"""Chunks for each thread: several, so that the threads end together though some files take longer than others."""


def map_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, stage: Stage | None = None
) -> list[Result]:
    """Return the results in the order of the items; the first exception is raised.

    With a ``stage`` they are counted, as work that somebody waits for; without, as in reading a batch, they are not.

    Threads take several items at a time: handing one over costs as much as hashing a small file.
    """
    num_threads = num_cpus()
    chunk = min(_MAX_CHUNK, -(-len(items) // (num_threads * _CHUNKS_PER_THREAD)))
    if num_threads == 1 or len(items) <= 1:
        return _listed(stage, map(function, items), len(items))
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    with ThreadPoolExecutor(min(num_threads, len(chunks))) as pool:
        done = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
        return _listed(stage, chain.from_iterable(done), len(items))


def _listed(stage: Stage | None, results: Iterable[Result], num_total: int) -> list[Result]:
    return list(results if stage is None else each_counted(stage, results, num_total=num_total))
