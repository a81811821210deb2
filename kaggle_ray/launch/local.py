"""Runs trials one after the other in this process: breakpoints work, and Ray is not imported."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.launch.local_peers import LocalRunner
from kaggle_ray.launch.relay import TrialRelay
from kaggle_ray.progress import TRIAL_EVERY_S, progress_told_to, throttled
from kaggle_ray.reporters import Emit
from kaggle_ray.schedule.source import Done, Stop, TrialSource, Wait
from kaggle_ray.store.opening import open_run
from kaggle_ray.train.context import TrialContext
from kaggle_ray.types import TrialMessage, TrialResult


class LocalLauncher:
    """Runs trials in this process: one slot."""

    def run(self, source: TrialSource, context: TrialContext, emit: Emit) -> None:
        """Run the source's trials one after the other in this process, where a debugger works."""
        store = open_run(context.location)
        with closing(LocalRunner(context)) as runner:
            while True:
                step = source.next()
                if isinstance(step, Done):
                    return
                if isinstance(step, Wait):
                    raise RuntimeError("the source waits for a trial to end, but none is running")
                relay = TrialRelay(step, source, store, emit)
                with progress_told_to(throttled(relay.progressed, every_s=TRIAL_EVERY_S)):
                    _run_one(relay, runner.run(step))


def _run_one(relay: TrialRelay, messages: Generator[TrialMessage, None, TrialResult]) -> None:
    relay.start()
    while True:
        try:
            decision = relay.tell(next(messages))
        except StopIteration as ended:
            relay.end(ended.value)
            return
        if isinstance(decision, Stop):
            messages.close()
            relay.prune(decision)
            return


_: type[Launcher] = LocalLauncher
