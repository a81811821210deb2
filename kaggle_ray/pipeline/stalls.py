"""Tells of a run that nothing is heard of any more: whoever left it alone should look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kaggle_ray.reporters import Emit, Reporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunStalled

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


class StallWatch:
    """Hears, as a reporter, all that is told of a run; after an unusual silence it tells RunStalled, once, by a thread.

    As a reporter, because whoever tells anything is heard: the driver, a trial, and what only counts its progress.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        least_s: float = LEAST_S,
        look_every_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to listen; ``emit`` is told of a stall."""
        self._tell, self._look_every_s, self._clock = emit, look_every_s, clock
        self._silence, self._lock = Silence(now=clock(), least_s=least_s), threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="stalls", daemon=True)
        self._thread.start()

    def emit(self, envelope: Envelope) -> None:
        """Take note that something was heard."""
        if not isinstance(envelope.event, RunStalled):
            with self._lock:
                self._silence.end(self._clock())

    def close(self) -> None:
        """Listen no more."""
        self._is_over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._is_over.wait(self._look_every_s):
            with self._lock:
                unusual_s = self._silence.unusual_s(self._clock())
            if unusual_s is not None:
                self._tell(RunStalled(silent_s=unusual_s))


_: type[Reporter] = StallWatch
