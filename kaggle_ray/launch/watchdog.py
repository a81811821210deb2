"""Kills a trial's process that hangs, from a process beside it: one that hangs, or is stopped, cannot do so itself.

The trial tells of each batch; where the next one takes too long the process is killed, and its launcher begins the
trial again, from its checkpoint, as that of any process that died.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from statistics import median

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import ConfigError
from kaggle_ray.launch import watching
from kaggle_ray.launch.watching import MESSAGE, NO_LIMIT

AT_LEAST_S = 60.0
"""Nothing that takes less hangs, unless ``VARIABLE`` says otherwise."""
VARIABLE = "KAGGLE_RAY_HANG_S"
"""Name of the environment variable of the machine that has another value in place of ``AT_LEAST_S``."""
NUM_INTERVALS = 3
"""A batch that takes more than this many times what batches took before, their median, hangs."""
COMPILING_S = 600.0
"""What takes the place of ``AT_LEAST_S`` where a batch of another size may have to be compiled first."""

_TELL_EVERY_S = 1.0
_MOST_INTERVALS = 101


class Watchdog:
    """Watches over this process: see ``kaggle_ray.train.heartbeat``, whose ``Watcher`` it is."""

    def __init__(self, *, at_least_s: float = AT_LEAST_S) -> None:
        """Start the process that watches; it ends with this one."""
        self._at_least_s = at_least_s
        self._intervals: deque[float] = deque(maxlen=_MOST_INTERVALS)
        self._last_beat: float | None = None
        self._last_told = -NO_LIMIT
        self._process = subprocess.Popen(
            [sys.executable, "-IS", watching.__file__, str(os.getpid()), str(at_least_s)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # what is sent to the trial's group is not meant for it
        )

    @classmethod
    def of(cls, settings: Settings) -> Watchdog:
        """Start one for trials with these settings.

        Raises:
            ConfigError: the environment variable is no number of seconds.
        """
        at_least_s = at_least()
        # A batch of another size may have to be compiled, in the midst of others that take next to no time.
        return cls(at_least_s=max(at_least_s, COMPILING_S) if settings.compile else at_least_s)

    @classmethod
    def against_stops(cls) -> Watchdog:
        """Start one that kills this process where it is stopped, as by SIGSTOP, and asks no beat of it.

        Raises:
            ConfigError: the environment variable is no number of seconds.
        """
        return cls(at_least_s=at_least())

    def beat(self) -> None:
        """Take note that a batch begins, and allow it as long as it may take."""
        now = time.monotonic()
        if self._last_beat is not None:
            self._intervals.append(now - self._last_beat)
        self._last_beat = now
        if self._intervals and now - self._last_told > _TELL_EVERY_S:
            self._allow(max(self._at_least_s, NUM_INTERVALS * median(self._intervals)))
            self._last_told = now

    def rest(self) -> None:
        """Allow whatever comes now all the time that it takes."""
        self._last_beat, self._last_told = None, -NO_LIMIT
        self._allow(NO_LIMIT)

    def close(self) -> None:
        """End the watch."""
        self._process.kill()
        self._process.wait()

    def _allow(self, seconds: float) -> None:
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), MESSAGE.pack(seconds))


def at_least() -> float:
    """Return the seconds that nothing hangs before on this machine.

    Raises:
        ConfigError: the environment variable is no number of seconds.
    """
    text = os.environ.get(VARIABLE, str(AT_LEAST_S))
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < NO_LIMIT:
            return seconds
    raise ConfigError(f"{VARIABLE}: expected a number of seconds above 0, got {text!r}.")
