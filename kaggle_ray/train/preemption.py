"""Notices that this process is asked to end: a spot machine's notice, the end of a notebook's session, ``kill``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what can be saved has been saved, and the process is to end."""


@contextmanager
def sigterm_noticed() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGTERM has come; until then it is not acted upon.

    The handler of before is back in place afterwards. Outside of the main thread signals cannot be handled, and the
    function always says no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()

    def notice(number: int, frame: FrameType | None) -> None:
        came.set()

    before: Any = signal.signal(signal.SIGTERM, notice)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
