"""Between Ray Tune and a run's source: Tune asks for the next trial, and tells what became of it."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from kaggle_ray.launch.relay import TrialRelay
from kaggle_ray.reporters import Emit
from kaggle_ray.schedule.source import Done, Stop, TrialSource, Wait
from kaggle_ray.store.trials import TrialStore
from kaggle_ray.types import Trial, TrialMessage, TrialResult

MESSAGE, RESULT = "kaggle_ray_message", "kaggle_ray_result"
"""Keys of what a trial's step tells Tune: a message of the trial, or at last its result."""


class SourceBridge(Searcher):  # type: ignore[misc]
    """Lets Tune ask our source for the next trial, and hands back what became of it."""

    def __init__(self, source: TrialSource, store: TrialStore, emit: Emit) -> None:
        """Ask ``source`` in the driver's process, and emit there what the actors report."""
        super().__init__()
        self._source = source
        self._store = store
        self._emit = emit
        self._running: dict[str, tuple[Trial, TrialRelay]] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's config, None where it has to wait, FINISHED at the end."""
        step = self._source.next()
        if isinstance(step, Wait):
            return None
        if isinstance(step, Done):
            return str(Searcher.FINISHED)
        self._running[trial_id] = step, TrialRelay(step, self._source, self._store, self._emit)
        return {"experiment_id": step.experiment_id, "fold": step.fold}

    def started(self, trial_id: str) -> None:
        """Tell that an actor began a trial."""
        _, relay = self._running[trial_id]
        relay.start()

    def died(self, trial_id: str, reason: str) -> None:
        """Record that a trial's process died: it has failed for now, and the next run repeats it."""
        trial, relay = self._running.pop(trial_id)
        relay.end(TrialResult(trial=trial, status="failed", attempt_id="", error=reason))

    def goes_on(self, trial_id: str, message: TrialMessage) -> bool:
        """Pass on what a trial tells; return False where that ends it, as its source decides."""
        _, relay = self._running[trial_id]
        decision = relay.tell(message)
        if isinstance(decision, Stop):
            relay.prune(decision)  # its process waits to be told to go on, or to begin another trial
            del self._running[trial_id]
        return trial_id in self._running

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the result of a trial that ended by itself.

        Of a process that died Tune tells more later: see ``died``. One that was stopped has its result already.
        """
        if not error and result and RESULT in result:
            _, relay = self._running.pop(trial_id)
            relay.end(result[RESULT])

    def __getstate__(self) -> dict[str, Any]:
        """Pickle nothing of the driver's process: Tune saves its search algorithm, and is never restored from it."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the store has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class SourceScheduler(FIFOScheduler):  # type: ignore[misc]
    """Lets our source decide, after each message of a trial, whether Tune takes another step of it.

    Tune asks its scheduler first, and takes the next step, or gives the process to another trial, as it answers.
    """

    def __init__(self, bridge: SourceBridge) -> None:
        """Ask ``bridge``."""
        super().__init__()
        self._bridge = bridge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass on what the trial tells, and return what becomes of it."""
        goes_on = self._bridge.goes_on(trial.trial_id, result[MESSAGE])
        return str(FIFOScheduler.CONTINUE if goes_on else FIFOScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle nothing of the driver's process: Tune saves its scheduler, and is never restored from it."""
        return {}


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
