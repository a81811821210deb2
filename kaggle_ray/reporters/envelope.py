"""What is said of every event alike: of which run it is, and when, where and under whose name it happened."""

from __future__ import annotations

import getpass
import os
import re
import socket
from dataclasses import dataclass, fields
from functools import cache
from typing import get_args

from kaggle_ray.reporters.events import (
    EpochEnded,
    Event,
    PreparationProgressed,
    RoundBegan,
    RunWarned,
    SamplesDrawn,
    TrialEnded,
    TrialProgressed,
    TrialStarted,
    TrialWarned,
)
from kaggle_ray.types import Location, Trial


def _kind_of(event_type: type[Event]) -> str:
    """Return the name of a type in words: ``epoch_ended`` of EpochEnded."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event_type.__name__).lower()


KINDS: dict[str, type[Event]] = {_kind_of(event_type): event_type for event_type in get_args(Event)}
"""Kind -> type of its events."""

_KIND_OF = {event_type: kind for kind, event_type in KINDS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """One event, addressed: all that a reporter ever sees.

    The identity (``event_id``) has no attempt and no time in it, so a trial that is run again after a crash repeats
    its events, and whoever stores them by id keeps one of each.
    """

    event: Event
    competition: str
    run_id: str
    """Name of the run within its competition; empty, as the competition's is, while files are looked at to find it."""
    host: str
    """Machine of the driver."""
    user: str
    """Whoever started the driver."""
    time: float
    """Seconds since the Unix epoch."""

    @property
    def kind(self) -> str:
        """Name of the event's type in words, such as ``epoch_ended``."""
        return _KIND_OF[type(self.event)]

    @property
    def trial(self) -> Trial | None:
        """The trial that it happened in; None where it concerns the run as a whole."""
        match self.event:
            case TrialStarted() | TrialProgressed() | EpochEnded() | TrialWarned() | TrialEnded() | SamplesDrawn():
                return self.event.trial
        return None

    @property
    def epoch(self) -> int:
        """The epoch that it happened in, 1 for the first; 0 where there is none."""
        match self.event:
            case EpochEnded(metrics=metrics):
                return metrics.epoch
            case TrialWarned(warning=warning):
                return warning.epoch
        return 0

    @property
    def step(self) -> int:
        """The step of the epoch that it happened in, 1 for the first; 0 where there is none."""
        match self.event:
            case TrialWarned(warning=warning):
                return warning.step
        return 0

    @property
    def topic(self) -> str:
        """What tells events of one kind, trial, epoch and step apart, such as warnings; empty where nothing has to."""
        match self.event:
            case TrialWarned(warning=warning):
                return warning.topic
            case RunWarned(topic=topic):
                return topic
            case RoundBegan(number=number):
                return str(number)
            case PreparationProgressed(progress=progress) | TrialProgressed(progress=progress):
                return progress.stage.replace(" ", "_")
        return ""

    @property
    def event_id(self) -> str:
        """``competition/run:trial:kind:epoch:step``; the same for every attempt at the same thing.

        The kind is followed by the topic where there is one, as in ``trial_warned/exploding_gradient``. While a run has
        no name, the host stands for it: what a machine prepares now takes the place of what it prepared before.
        """
        run = f"{self.competition}/{self.run_id}" if self.run_id else self.host
        kind = f"{self.kind}/{self.topic}".rstrip("/")
        return f"{run}:{self.trial or 'run'}:{kind}:{self.epoch}:{self.step}"

    @property
    def artifacts(self) -> dict[str, Location]:
        """Name -> place of the files that belong to the event."""
        values = {spec.name: getattr(self.event, spec.name) for spec in fields(self.event)}
        return {name: value for name, value in values.items() if isinstance(value, Location)}


@cache
def this_host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


@cache
def this_user() -> str:
    """Return the name of whoever runs this process, or the number where the machine knows no name (a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
