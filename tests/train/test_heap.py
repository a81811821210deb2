"""Memory that is freed stays with the process while it trains, and is given back after."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator

import pytest
import torch

from kaggle_ray.train.heap import keep_freed_memory, return_freed_memory

BLOCKS = [n * 2**20 for n in (4, 8, 16, 8, 4)]
"""What a step makes and frees, in bytes."""
PAGES = sum(BLOCKS) // 2**21
"""Of a step, however large the pages of this machine are."""

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs glibc, whose mallopt this is"
)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    yield
    monkeypatch.undo()
    return_freed_memory()


def pages_faulted_in(steps: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        made = [torch.empty(num_bytes, dtype=torch.uint8).fill_(1) for num_bytes in BLOCKS]
        del made
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_steps_take_the_pages_that_earlier_ones_freed() -> None:
    return_freed_memory()
    mapped_anew = pages_faulted_in(4)
    assert mapped_anew >= 4 * PAGES
    keep_freed_memory()
    pages_faulted_in(16)
    assert pages_faulted_in(4) < mapped_anew / 4


def test_what_was_kept_is_given_back() -> None:
    keep_freed_memory()
    pages_faulted_in(1)
    return_freed_memory()
    assert pages_faulted_in(1) >= PAGES


def test_variables_of_the_allocator_are_left_to_the_person_who_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    return_freed_memory()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    keep_freed_memory()
    assert pages_faulted_in(4) >= 4 * PAGES
