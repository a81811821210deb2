"""Tells of a run that nothing is heard of any more: whoever left it alone should look."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import Event, RunStalled

LEAST_S = 900.0
"""Seconds of silence that are nothing unusual in any run."""
_MOST_TIMES = 5.0
"""Times the longest silence so far, from which one is unusual."""


class Silence:
    """How long nothing was heard, beside how long that has been before. Times are in seconds of one clock."""

    def __init__(self, *, now: float, least_s: float = LEAST_S) -> None:
        """Begin to listen."""
        self._least_s = least_s
        self._heard_at, self._longest_s, self._is_told = now, 0.0, False

    def end(self, now: float) -> None:
        """Take note that something was heard."""
        self._longest_s = max(self._longest_s, now - self._heard_at)
        self._heard_at, self._is_told = now, False

    def unusual_s(self, now: float) -> float | None:
        """Return how long it has been silent where that is unusual and was not told yet; else None."""
        silent_s = now - self._heard_at
        if self._is_told or silent_s < max(self._least_s, _MOST_TIMES * self._longest_s):
            return None
        self._is_told = True
        return silent_s


@contextmanager
def stalls_told(emit: Emit, *, least_s: float = LEAST_S, look_every_s: float = 15.0) -> Iterator[Emit]:
    """Yield an ``emit`` that is listened to: after an unusual silence RunStalled is told, from a thread, once."""
    silence, is_over, lock = Silence(now=time.monotonic(), least_s=least_s), threading.Event(), threading.Lock()

    def heard(event: Event) -> None:
        with lock:
            silence.end(time.monotonic())
        emit(event)

    def listen() -> None:
        while not is_over.wait(look_every_s):
            with lock:
                unusual_s = silence.unusual_s(time.monotonic())
            if unusual_s is not None:
                emit(RunStalled(silent_s=unusual_s))

    thread = threading.Thread(target=listen, name="stalls", daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        is_over.set()
        thread.join()
