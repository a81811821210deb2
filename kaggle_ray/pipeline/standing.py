"""Which of a run's trials stand: what was damaged since it was committed is run again, rather than used."""

from __future__ import annotations

from collections.abc import Callable

from kaggle_ray.errors import CorruptBlobError, JsonShapeError
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.schedule.source import Ended
from kaggle_ray.store.trials import TrialStore
from kaggle_ray.types import Trial, TrialResult


def standing_in(store: TrialStore, warn: Callable[[RunWarned], None]) -> Ended:
    """Return a look-up of trials that are over, which removes those whose files are not as they were committed.

    Every file of a trial is read, its weights included: a model that starts from them, or predicts new rows, may come
    long after.

    Args:
        store: of the run.
        warn: is told of each trial that is removed.
    """

    def ended(trial: Trial) -> TrialResult | None:
        try:
            result = store.result(trial)
            if result is not None and result.status == "committed":
                store.check(result)
        except (CorruptBlobError, JsonShapeError) as damage:
            warn(RunWarned(topic="damaged_trial", text=f"trial {trial} is run again, as it was damaged: {damage}"))
            store.remove(trial)
            return None
        return result

    return ended
