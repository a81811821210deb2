"""How long a process that works at trials may take to start: Ray itself waits without limit for one that hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray import tune

from kaggle_ray.launch.watchdog import at_least

logger = logging.getLogger(__name__)

_NUM_TIMES = 5
"""How many times as long as a batch at least may take: a minute to be placed, the imports, and joining others."""


def start_limit_s() -> float:
    """Return the seconds within which a process on this machine has started, or hangs.

    Raises:
        ConfigError: the environment variable of ``at_least`` is no number of seconds.
    """
    return _NUM_TIMES * at_least()


class SlotStartLimit(tune.Callback):  # type: ignore[misc]
    """Kills a slot's process that hangs as it starts: Tune begins its trial again, as that of any that died."""

    def __init__(self, starting: Callable[[], Iterable[Any]], limit_s: float) -> None:
        """Allow each of the actors that ``starting`` returns ``limit_s`` seconds."""
        self._starting = starting
        self._limit_s = limit_s
        self._due_at: dict[Any, float] = {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look at what starts; Tune calls this several times a second."""
        now = time.monotonic()
        self._due_at = {actor: self._due_at.get(actor, now + self._limit_s) for actor in self._starting()}
        for actor in [actor for actor, due_at in self._due_at.items() if now >= due_at]:
            logger.warning("a slot that did not start within %g s is replaced", self._limit_s)
            ray.kill(actor)
            self._due_at[actor] = float("inf")

    def __getstate__(self) -> dict[str, Any]:
        """Carry nothing to Ray's processes: what starts is known to this one."""
        return {}
