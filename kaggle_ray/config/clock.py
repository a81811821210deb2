"""The time by which budgets and deadlines are held, which goes on when the system's clock is set."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def _steady_s() -> float:
    """Return seconds of this machine since it was started, suspended ones among them where the system counts them."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere a suspended machine's clock stands still
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


def _machine() -> str:
    """Return what tells this start of this machine from others; empty where the system does not tell."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SteadyClock:
    """Seconds since the Unix epoch as they were when the clock was made, and as many more as have gone by since.

    All processes of the machine agree on it, whoever sets the system's clock meanwhile. Another machine has no part in
    what has gone by here, and tells the time of its own clock.

    >>> clock = SteadyClock()
    >>> 0 <= clock.now() - clock.began_at < 60
    True
    """

    began_at: float = field(default_factory=lambda: time.time())
    """When the clock was made, in seconds since the Unix epoch."""
    steady_then: float = field(default_factory=_steady_s)
    """When that was, in seconds since the machine was started."""
    machine: str = field(default_factory=_machine)

    def now(self) -> float:
        """Return the time in seconds since the Unix epoch."""
        if self.machine != _machine():
            return time.time()
        return self.began_at + (_steady_s() - self.steady_then)
