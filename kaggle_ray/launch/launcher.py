"""The contract of a launcher."""

from __future__ import annotations

from typing import Protocol

from kaggle_ray.reporters import Emit
from kaggle_ray.schedule.source import TrialSource
from kaggle_ray.train.context import TrialContext


class Launcher(Protocol):
    """Runs a source's trials somewhere, several at once where it can.

    >>> from kaggle_ray import Launcher
    >>> class Announced:
    ...     def __init__(self, launcher):
    ...         self.launcher = launcher
    ...
    ...     def run(self, source, context, emit):
    ...         print("begins")
    ...         self.launcher.run(source, context, emit)
    """

    def run(self, source: TrialSource, context: TrialContext, emit: Emit) -> None:
        """Run trials until the source is done, recording each result and emitting its events from this process.

        Raises:
            KeyboardInterrupt: the user stopped it; running trials were stopped first.
        """
        ...
