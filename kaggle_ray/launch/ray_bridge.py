"""Between Ray Tune and a run's source: Tune asks for the next trial, and tells what became of it."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.search import Searcher

from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import TrialEnded, TrialStarted, event_of
from kaggle_ray.schedule.source import Done, TrialSource, Wait
from kaggle_ray.types import Trial, TrialResult

MESSAGE, RESULT = "kaggle_ray_message", "kaggle_ray_result"
"""Keys of what a trial's step tells Tune: a message of the trial, or at last its result."""


class SourceBridge(Searcher):  # type: ignore[misc]
    """Lets Tune ask our source for the next trial, and hands back what became of it."""

    def __init__(self, source: TrialSource, emit: Emit) -> None:
        """Ask ``source`` in the driver's process, and emit there what the actors report."""
        super().__init__()
        self._source = source
        self._emit = emit
        self._running: dict[str, Trial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's config, None where it has to wait, FINISHED at the end."""
        step = self._source.next()
        if isinstance(step, Wait):
            return None
        if isinstance(step, Done):
            return str(Searcher.FINISHED)
        self._running[trial_id] = step
        return {"experiment_id": step.experiment_id, "fold": step.fold}

    def started(self, trial_id: str) -> None:
        """Tell that an actor began a trial."""
        self._emit(TrialStarted(trial=self._running[trial_id]))

    def died(self, trial_id: str, reason: str) -> None:
        """Record that a trial's process died: it has failed for now, and the next run repeats it."""
        self._end(trial_id, TrialResult(trial=self._running[trial_id], status="failed", attempt_id="", error=reason))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Emit what a trial tells."""
        if MESSAGE in result:
            self._emit(event_of(self._running[trial_id], result[MESSAGE]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the result. Of a process that died Tune tells more later: see ``died``."""
        if not error and result:
            self._end(trial_id, result[RESULT])

    def _end(self, trial_id: str, result: TrialResult) -> None:
        del self._running[trial_id]
        self._source.record(result)
        self._emit(TrialEnded.of(result))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle nothing of the driver's process: Tune saves its search algorithm, and is never restored from it."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the store has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class CallbackRelay(tune.Callback):  # type: ignore[misc]
    """Tells the bridge what Tune tells callbacks only: that a trial began, and why it died."""

    def __init__(self, bridge: SourceBridge) -> None:
        """Relay to ``bridge``."""
        self._bridge = bridge

    def __getstate__(self) -> dict[str, Any]:
        """Carry nothing to Ray's processes: the bridge is this one's."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Relay the start."""
        self._bridge.started(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Relay the last line of the error."""
        error = trial.get_error() or "its process died"
        self._bridge.died(trial.trial_id, str(error).strip().splitlines()[-1])
