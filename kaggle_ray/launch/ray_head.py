"""Watches a Ray's head: a minute after its end Ray ends this process itself, and does not say how to go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kaggle_ray.launch.address import listens

logger = logging.getLogger(__name__)

_CONNECT_S = 5.0


@contextmanager
def head_watched(address: str, *, every_s: float = 5.0, num_tries: int = 3) -> Iterator[None]:
    """Tell how to go on where nobody listens at a head's ``address`` any more, within the context.

    Args:
        address: host and port of the head's GCS.
        every_s: seconds from one look to the next.
        num_tries: looks in a row that find nobody, before it is told.
    """
    is_over = threading.Event()

    def watch() -> None:
        num_silent = 0
        while not is_over.wait(every_s):
            num_silent = 0 if listens(address, timeout_s=_CONNECT_S) else num_silent + 1
            if num_silent == num_tries:
                logger.error(
                    "Ray's head at %s is gone: it was killed, or has no memory left, and this process ends with it. "
                    "What is committed stays: the same command goes on where this run was.",
                    address,
                )
                return

    watching = threading.Thread(target=watch, daemon=True, name="watches Ray's head")
    watching.start()
    try:
        yield
    finally:
        is_over.set()
