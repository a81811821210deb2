"""The contract of a place for checkpoints: call ``check_checkpoints`` in a test of each implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable

from kaggle_ray.train.checkpoint import Checkpoints

_LARGE = 1_000_000
_NUM_WRITES = 50


def check_checkpoints(open_place: Callable[[], Checkpoints], *, keeps: bool = True) -> None:
    """Check what a fit relies on to go on where it was.

    Args:
        open_place: opens the same place each time it is called, as the process of a later attempt does; it is empty
            before the first call.
        keeps: whether anything is meant to be kept.

    Raises:
        AssertionError: the last checkpoint is not what the next attempt finds.
    """
    place = open_place()
    assert place.load() is None, "there is a checkpoint before one was saved"
    place.save(b"first")
    if not keeps:
        assert place.load() is None, "a checkpoint is kept where none is meant to be"
        return
    assert place.load() == b"first", "the checkpoint is not what was saved"
    assert open_place().load() == b"first", "another attempt does not find the checkpoint"
    open_place().save(b"2" * _LARGE)
    assert place.load() == b"2" * _LARGE, "the last checkpoint does not replace the one before"
    place.save(b"")
    assert open_place().load() == b"", "of a shorter checkpoint something of the longer one is left"
    _check_replaced_as_a_whole(open_place)


def _check_replaced_as_a_whole(open_place: Callable[[], Checkpoints]) -> None:
    """Read while another thread writes: what is read is one of the checkpoints, never a part of one."""
    contents = [bytes([number]) * _LARGE for number in (1, 2)]
    open_place().save(contents[0])
    found: set[bytes | None] = set()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            found.add(open_place().load())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(_NUM_WRITES):
            open_place().save(contents[number % 2])
    finally:
        is_over.set()
        reader.join()
    assert found <= set(contents), "a reader saw a checkpoint that was not written as a whole"
