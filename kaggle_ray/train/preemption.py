"""Ends this process in an orderly way when it is asked to end.

SIGTERM is a spot machine's notice, the end of a notebook's session, ``kill``; SIGHUP is a terminal that closes, or its
ssh; SIGINT is ctrl-c. A fit saves its state at the end of the step that it is in; all else can be left where it is,
since the store knows what is done.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: what can be saved has been saved, and the process is to end."""


class Notice:
    """Whether a fit has been asked to end: by a signal to this process, or from elsewhere."""

    def __init__(self) -> None:
        """It has not."""
        self.signal = 0
        """The signal that came while ``end_noticed`` took it, 0 where none did."""
        self._is_from_elsewhere = False

    def give(self) -> None:
        """Ask every fit that looks here to end; from any thread, and for good."""
        self._is_from_elsewhere = True

    @property
    def is_given(self) -> bool:
        """Whether a fit that looks here is to end."""
        return self._is_from_elsewhere or self.signal != 0

    def interruption(self) -> KeyboardInterrupt:
        """Return what to raise once the state is saved; of a process that was not asked itself, Terminated."""
        if self.signal == signal.SIGINT:
            return KeyboardInterrupt()
        return Terminated("asked to end: the trial's checkpoint is saved, and the same command goes on from it.")


@contextmanager
def end_noticed(notice: Notice | None = None) -> Iterator[Notice]:
    """Yield the notice that SIGTERM, SIGHUP or ctrl-c gives; within the context, whoever looks at it acts upon it.

    A second ctrl-c interrupts at once. Where nobody has acted upon a signal by the end of the context, it is sent again
    to the handlers of before, which are then back in place. Outside of the main thread signals cannot be handled: there
    the notice has to be given by ``Notice.give``.
    """
    notice = notice or Notice()
    if threading.current_thread() is not threading.main_thread():
        yield notice
        return

    def take(number: int, frame: FrameType | None) -> None:
        notice.signal = number
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            logger.warning("stopping after this step, with a checkpoint; ctrl-c again: at once")

    before: dict[int, Any] = {number: signal.signal(number, take) for number in _asking_to_end()}
    # A debugger has its own way with ctrl-c, and a process in the background is to ignore it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, take)
    try:
        yield notice
    except KeyboardInterrupt:
        notice.signal = 0
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if notice.signal:
            signal.raise_signal(notice.signal)


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise Terminated wherever the main thread is; ``end_noticed`` takes precedence within.

    Once one is being raised, further ones change nothing: who asks a process to end often asks twice.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    text = "asked to end: the same command goes on where this run was."
    was_asked = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal was_asked
        was_asked = True
        if not isinstance(sys.exc_info()[1], Terminated):
            raise Terminated(text)

    before: dict[int, Any] = {number: signal.signal(number, end) for number in _asking_to_end()}
    try:
        yield
    except KeyboardInterrupt as stop:
        if was_asked and not isinstance(stop, Terminated):  # compiled code, such as Ray's, makes a plain one of any
            raise Terminated(text) from stop
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _asking_to_end() -> list[int]:
    """Return the signals that ask a process to end, ctrl-c aside; of ``nohup`` a terminal that closes is none."""
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM] if is_ignored else [signal.SIGTERM, signal.SIGHUP]


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Put the handler of SIGTERM back that a library replaces within the context."""
    before: Any = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
