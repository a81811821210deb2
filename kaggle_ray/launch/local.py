"""Runs trials one after the other in this process: breakpoints work, and Ray is not imported."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import TrialEnded, TrialStarted, event_of
from kaggle_ray.schedule.source import Done, TrialSource, Wait
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.trial import TrialRunner
from kaggle_ray.types import Trial, TrialMessage, TrialResult


class LocalLauncher:
    """Runs trials in this process: one slot."""

    def run(self, source: TrialSource, context: TrialContext, emit: Emit) -> None:
        """Run the source's trials one after the other in this process, where a debugger works."""
        with closing(TrialRunner(context)) as runner:
            while True:
                step = source.next()
                if isinstance(step, Done):
                    return
                if isinstance(step, Wait):
                    raise RuntimeError("the source waits for a trial to end, but none is running")
                emit(TrialStarted(trial=step))
                result = _relay(step, runner.run(step), emit)
                source.record(result)
                emit(TrialEnded.of(result))


def _relay(trial: Trial, messages: Generator[TrialMessage, None, TrialResult], emit: Emit) -> TrialResult:
    while True:
        try:
            message = next(messages)
        except StopIteration as stop:
            result: TrialResult = stop.value
            return result
        emit(event_of(trial, message))


_: type[Launcher] = LocalLauncher
