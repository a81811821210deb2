"""Keeps the summary of a run's results young while it goes on, for whoever looks at it from elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from kaggle_ray.errors import StoreError
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import Event, TrialEnded

logger = logging.getLogger(__name__)

_MOST_OF_THE_TIME = 0.02
"""Share of the time that may go into summaries, which are as long as the run has trials."""


def summing_up(
    emit: Emit, save: Callable[[], None], *, every_s: float = 60.0, clock: Callable[[], float] = time.monotonic
) -> Emit:
    """Return what passes events on to ``emit``, and calls ``save`` after a trial's end, once in ``every_s`` seconds.

    Without it, a run in a bucket is looked at by a request for each trial until it has ended.
    """
    due_at = clock() + every_s

    def tell(event: Event) -> None:
        nonlocal due_at
        emit(event)
        if not isinstance(event, TrialEnded) or clock() < due_at:
            return
        began = clock()
        try:
            save()
        except StoreError as error:
            logger.warning("the results are not summed up: %s", error)
        due_at = clock() + max(every_s, (clock() - began) / _MOST_OF_THE_TIME)

    return tell
