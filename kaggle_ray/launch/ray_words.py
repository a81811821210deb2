"""Keeps from a terminal what Ray says of processes whose deaths the run itself tells of, of each in one event."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import worker

logger = logging.getLogger(__name__)

_TOLD_OTHERWISE = ("A worker died or was killed while executing a task",)
"""How lines begin of what the driver hears by an error, too: of a slot by Tune, of a group's worker by Ray Train."""


@contextmanager
def deaths_told_once() -> Iterator[None]:
    """Let Ray print no deaths of processes on this driver's terminal, within the context; all else it prints as before.

    A trial's deaths are warnings of the trial: see ``Deaths``. Ray's own words are in its logs, and here at DEBUG.
    """
    say = worker.print_to_stdstream

    def say_what_is_new(data: dict[str, Any], ignore_prefix: bool) -> None:
        told = [line for line in data["lines"] if line.startswith(_TOLD_OTHERWISE)]
        for line in told:
            logger.debug("%s", line)
        if len(told) < len(data["lines"]):
            say({**data, "lines": [line for line in data["lines"] if line not in told]}, ignore_prefix)

    worker.print_to_stdstream = say_what_is_new
    try:
        yield
    finally:
        worker.print_to_stdstream = say
