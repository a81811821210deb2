"""What a killed driver cannot tell any more: whoever looks after its run tells it."""

from __future__ import annotations

from kaggle_ray.errors import LeaseError
from kaggle_ray.reporters import FanOut
from kaggle_ray.reporters.events import RunEnded, RunFailed, RunInterrupted, RunKilled, RunStarted
from kaggle_ray.reporters.jsonl import JsonlReporter, read_events
from kaggle_ray.store.run import RunStore

_ENDS = RunEnded | RunFailed | RunInterrupted | RunKilled


def tell_if_killed(store: RunStore) -> None:
    """Write into a run's diary that its driver is gone without a word, where that is so and was not told yet.

    Raises:
        StoreError: the folder is no run, or its diary cannot be read or written.
    """
    record = store.known_record()
    try:
        with store.lease.held():
            told = [each.event for each in read_events(store.diary) if isinstance(each.event, RunStarted | _ENDS)]
            if told and isinstance(told[-1], RunStarted):
                diary = FanOut([JsonlReporter(store.diary)], competition=record.competition, run_id=record.run_id)
                diary.emit(RunKilled(how_to_resume=record.command))
                diary.close()
    except LeaseError:  # its driver lives
        return
