"""The reporter around a sink: it takes an event down and is back; a thread delivers, and again where that failed.

An event is in the run's diary before it comes here, with the same number. So memory is bounded, and nothing is lost:
what no longer fits, and what an earlier driver did not deliver, is read from there.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from textwrap import shorten
from threading import Event, Thread

from kaggle_ray.counted import counted
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.backlog import MOST_AT_ONCE, Backlog, Cursor, History, Numbered
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.sink import Sink

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S = 60.0
_MOST_SHOWN = 300
"""Letters of an error in a warning: a client's may quote all that it was to send."""


class Delivery:
    """Tells a service of a run, from a thread that looks a few times a second for what has come.

    ``emit`` appends to a queue and wakes nobody, so that it waits for nothing: no lock, no file, no server. A service
    that fails costs one warning; it is tried again after waits that grow to a minute, and at the end once more.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        history: History,
        cursor: Cursor,
        how_to_catch_up: str,
        secrets: Collection[str] = (),
        look_every_s: float = 0.5,
        close_within_s: float = 5.0,
        most_held: int = 10_000,
    ) -> None:
        """Begin to deliver what ``sink`` lacks.

        Args:
            sink: is called from the thread alone.
            history: what was told before now, and whatever is told from now on, in which it comes before ``emit``.
            cursor: what the sink has taken of it.
            how_to_catch_up: the command that delivers what is left at the end.
            secrets: texts that no warning shows.
            look_every_s: how often the thread looks for what has come.
            close_within_s: how long what is left may take at the end.
            most_held: events kept in memory.
        """
        self._sink, self._how_to_catch_up, self._secrets = sink, how_to_catch_up, secrets
        self._look_every_s, self._close_within_s, self._most_held = look_every_s, close_within_s, most_held
        self._backlog = Backlog(sink, history=history, cursor=cursor)
        self._num_told = self._backlog.num_before
        self._queue: deque[Numbered] = deque()
        self._batch: list[Numbered] = []
        self._last_error: str | None = None
        self._is_over, self._is_late, self._is_closed = Event(), Event(), False
        self._stopped_at = 0.0
        self._thread = Thread(target=self._deliver_until_over, name=f"deliver-{sink.name}", daemon=True)
        self._thread.start()

    def emit(self, envelope: Envelope) -> None:
        """Take one event down, which is the next one of the history."""
        number = self._num_told + 1
        if len(self._queue) < self._most_held:
            self._queue.append((number, envelope))
        self._num_told = number

    def stop(self) -> None:
        """Let the thread end with what is left; back at once, so that several services share the few seconds."""
        if not self._is_over.is_set():
            self._stopped_at = time.monotonic()
            self._is_over.set()

    def close(self) -> None:
        """Deliver what is left, for a few seconds at most, and say what could not be delivered."""
        self.stop()
        self._thread.join(max(0.0, self._stopped_at + self._close_within_s - time.monotonic()))
        self._is_late.set()
        num_left = self._num_told - self._backlog.num_delivered
        if num_left and not self._is_closed:
            logger.warning(
                "%s lacks %d of %s%s. Deliver them by: %s",
                self._sink.name,
                num_left,
                counted(self._num_told, "event"),
                f" ({self._last_error})" if self._last_error else ", for it was too slow",
                self._how_to_catch_up,
            )
        self._is_closed = True

    # In the thread ----------------------------------------------------------------------------------------------------

    def _deliver_until_over(self) -> None:
        wait_s, has_warned = self._look_every_s, False
        while not self._is_over.wait(wait_s):
            if self._try_to_deliver():
                wait_s = self._look_every_s
                continue
            wait_s = min(2.0 * wait_s, _LONGEST_WAIT_S)
            if not has_warned:
                logger.warning(
                    "%s does not take events: %s. The run goes on, and it is told all of them once it does.",
                    self._sink.name,
                    self._last_error,
                )
                has_warned = True
        self._try_to_deliver()
        try:
            self._sink.close()
        except Exception as error:
            logger.warning("%s did not close: %s", self._sink.name, words_of(error, self._secrets))

    def _try_to_deliver(self) -> bool:
        """Deliver what has come until now; return whether the service took it."""
        try:
            self._deliver()
            self._last_error = None
        except _TooLateError:
            pass
        except Exception as error:
            self._last_error = words_of(error, self._secrets)
        return self._last_error is None

    def _deliver(self) -> None:
        num_told = self._num_told  # whatever of these is not in the queue did not fit
        while self._take_batch():
            self._catch_up(until=self._batch[0][0] - 1)
            self._hand_over(self._batch)
            self._batch = []
        self._catch_up(until=num_told)

    def _take_batch(self) -> bool:
        """Take what follows on each other from the queue; a batch that was not delivered is still the next."""
        while self._queue and len(self._batch) < MOST_AT_ONCE:
            if self._batch and self._queue[0][0] != self._batch[-1][0] + 1:
                break
            self._batch.append(self._queue.popleft())
        return bool(self._batch)

    def _catch_up(self, until: int) -> None:
        """Deliver from the history what the queue has not of the first ``until`` events."""
        for batch in self._backlog.missing(until):
            self._hand_over(batch)
        if num_lost := max(0, until - self._backlog.num_delivered):
            lost = counted(num_lost, "event is", "events are")
            logger.warning("%s not in the run's diary: %s does not get what is not there.", lost, self._sink.name)
            self._backlog.skip_to(until)

    def _hand_over(self, batch: Sequence[Numbered]) -> None:
        if self._is_late.is_set():
            raise _TooLateError
        self._backlog.deliver(batch)


def words_of(error: Exception, secrets: Collection[str]) -> str:
    """Return an error in one line that shows none of the ``secrets``."""
    text = f"{type(error).__name__}: {error}".rstrip(".")  # a sentence goes on after it
    for secret in secrets:
        text = text.replace(secret, "***")
    return shorten(text, _MOST_SHOWN, placeholder=" ...")


class _TooLateError(Exception):
    """The run is over, and has waited for long enough."""


_DELIVERY: type[Reporter] = Delivery
