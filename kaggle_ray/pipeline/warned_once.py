"""Tells once what a person's own code warns of in many trials."""

from __future__ import annotations

from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import Event, TrialWarned
from kaggle_ray.train.users_warnings import USERS_TOPIC


def warned_once(emit: Emit) -> Emit:
    """Return what passes events on to ``emit``, but what a line of a person's code warned of in an earlier trial."""
    told: set[str] = set()

    def tell(event: Event) -> None:
        if isinstance(event, TrialWarned) and event.warning.topic.startswith(USERS_TOPIC):
            if event.warning.text in told:
                return
            told.add(event.warning.text)
        emit(event)

    return tell
