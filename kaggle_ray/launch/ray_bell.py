"""Lets the slots of a run know that the driver has been asked to end: they save checkpoints of their trials at once.

And lets the driver know how far the slots' trials are between two of their messages. A slot is busy with its trial, and
a call of its actor would wait until an epoch's end: a thread of its own listens.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from kaggle_ray.counted import counted
from kaggle_ray.progress import TRIAL_EVERY_S, Listener, Progress, throttled

if TYPE_CHECKING:  # the bell's own process imports this, and no more than it needs
    from kaggle_ray.types import Trial

logger = logging.getLogger(__name__)

_SAVE_S = 20.0
"""How long the driver waits for the slots' checkpoints: a spot machine is there for 30 s after its notice, and more."""


class _Bell:
    """Rings once, and keeps the latest words of the slots: an actor beside the driver.

    It is given no handle of a slot: Ray would import there all that a slot does, torch included. So are words bytes.
    """

    def __init__(self) -> None:
        self._rung, self._words = asyncio.Event(), dict[str, bytes]()

    async def wait(self) -> None:
        """Return when the bell rings."""
        await self._rung.wait()

    async def ring(self) -> None:
        """Let whoever waits go on."""
        self._rung.set()

    async def say(self, slot: str, word: bytes) -> None:
        """Keep the latest word of a slot."""
        self._words[slot] = word

    async def said(self) -> list[bytes]:
        """Return the slots' words since the last time."""
        words, self._words = self._words, {}
        return list(words.values())


def beside_this_process(actor: type) -> Any:
    """Start an actor that takes no cores on this process's own node: Ray's choice is any, and may be lost before it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(actor).options(scheduling_strategy=here).remote()


@contextmanager
def bell_of_driver(slots: Callable[[], Sequence[Any]]) -> Iterator[Any]:
    """Yield a bell for the slots; where the driver is asked to end within, it rings, and checkpoints are waited for.

    Args:
        slots: returns the actors that have begun, each of which has ``save_and_end``.
    """
    bell: Any = beside_this_process(_Bell)
    try:
        yield bell
    except KeyboardInterrupt:
        with suppress(RayError):  # the session itself may be what has ended
            ray.get(bell.ring.remote(), timeout=_SAVE_S)
            _wait_for_checkpoints(slots())
        raise
    finally:
        ray.kill(bell)  # Tune keeps a handle of it, by which it would live as long as a Ray of the user's own


def _wait_for_checkpoints(slots: Sequence[Any]) -> None:
    saving = [slot.save_and_end.remote() for slot in slots]
    _, missing = ray.wait(saving, num_returns=len(saving), timeout=_SAVE_S) if saving else ([], [])
    if missing:
        logger.warning("%s did not save a checkpoint within %.0f s", counted(len(missing), "trial"), _SAVE_S)


class SlotWords:
    """What the slots say, asked for now and then by the driver, which waits for no answer."""

    def __init__(self, bell: Any, *, every_s: float = 1.0) -> None:
        """Ask ``bell`` every so many seconds."""
        self._bell, self._every_s = bell, every_s
        self._asked: Any = None
        self._asked_at = 0.0

    def taken(self) -> list[tuple[Trial, Progress]]:
        """Return what has come since the last time, nothing where the bell is gone."""
        if self._asked is None and time.monotonic() - self._asked_at >= self._every_s:
            self._asked, self._asked_at = self._bell.said.remote(), time.monotonic()
        if self._asked is None or not ray.wait([self._asked], timeout=0)[0]:
            return []
        answer, self._asked = self._asked, None
        with suppress(RayError):
            return [pickle.loads(word) for word in ray.get(answer)]
        return []


def progress_of(trial: Trial, bell: Any) -> Listener:
    """Return what lets the driver know of a slot's trial, by a listener that waits for nobody."""

    def say(progress: Progress) -> None:
        bell.say.remote(str(trial), pickle.dumps((trial, progress)))

    return throttled(say, every_s=TRIAL_EVERY_S)


def heed(bell: Any, end: Callable[[], None]) -> None:
    """Call ``end`` in a thread of this slot's when the bell rings."""

    def listen() -> None:
        with suppress(RayError):  # the bell has gone with the driver, and so will this process
            ray.get(bell.wait.remote())
            end()

    threading.Thread(target=listen, daemon=True).start()
