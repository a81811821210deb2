"""Between Ray Tune and a run's source: Tune asks for the next trial, and tells what became of it."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Set
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from kaggle_ray.errors import TrialError
from kaggle_ray.launch.deaths import Deaths
from kaggle_ray.launch.ray_nodes import living_nodes
from kaggle_ray.launch.relay import TrialRelay
from kaggle_ray.progress import Progress
from kaggle_ray.reporters import Emit
from kaggle_ray.schedule.source import Done, Stop, TrialSource, Wait
from kaggle_ray.store.trials import TrialStore
from kaggle_ray.types import EpochMetrics, Trial, TrialMessage

MESSAGE, RESULT, NODE = "kaggle_ray_message", "kaggle_ray_result", "kaggle_ray_node"
"""Keys of what a trial's step tells Tune: a message of it, or at last its result or error, and the id of its node."""
NAME = "trial"
"""Key of the trial's name in its config: for Tune's tables and folders, and for whoever looks at its process."""

_LOST_NODE = re.compile(r"its node has died\. Node Id: (\w+)")
"""How Ray says that a process is gone because its node is, such as one that was not there yet to tell its node."""


class SourceBridge(Searcher):  # type: ignore[misc]
    """Lets Tune ask our source for the next trial, and hands back what became of it."""

    def __init__(
        self,
        source: TrialSource,
        store: TrialStore,
        emit: Emit,
        *,
        name_of: Callable[[Trial], str] = str,
        living_nodes: Callable[[], Set[str]] = living_nodes,
    ) -> None:
        """Ask ``source`` in the driver's process, and emit there what the actors report.

        ``name_of`` returns what a trial is called in Tune and on Ray's dashboard.
        """
        super().__init__()
        self._living_nodes = living_nodes
        self._again: deque[Trial] = deque()
        """Trials whose process died, which are begun again."""
        self._deaths: defaultdict[Trial, Deaths] = defaultdict(Deaths)
        self._source = source
        self._name_of = name_of
        self._store = store
        self._emit = emit
        self._running: dict[str, tuple[Trial, TrialRelay]] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's config, None where it has to wait, FINISHED at the end."""
        step = self._again.popleft() if self._again else self._source.next()
        if isinstance(step, Wait) or (isinstance(step, Done) and self._running):  # one that runs may have to run again
            return None
        if isinstance(step, Done):
            return str(Searcher.FINISHED)
        self._running[trial_id] = step, TrialRelay(step, self._source, self._store, self._emit)
        return {NAME: self._name_of(step), "experiment_id": step.experiment_id, "fold": step.fold}

    def started(self, trial_id: str) -> None:
        """Tell that an actor began a trial."""
        _, relay = self._running[trial_id]
        relay.start()

    def died(self, trial_id: str, reason: str, node: str | None) -> None:
        """Let a trial begin again whose process died, or tell that it failed; ``node`` is where it was, if known."""
        trial, relay = self._running.pop(trial_id)
        deaths = self._deaths[trial]
        deaths.add(set() if node is None else {node})
        error = deaths.error(self._living_nodes(), reason)
        if error is None:
            relay.tell(deaths.warning(reason))
            self._again.append(trial)
        else:
            relay.fail(error)

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Tell that a trial gets on; one that has ended meanwhile is told of no more."""
        for running, relay in self._running.values():
            if running == trial:
                relay.progressed(progress)

    def goes_on(self, trial_id: str, message: TrialMessage) -> bool:
        """Pass on what a trial tells; return False where that ends it, as its source decides."""
        trial, relay = self._running[trial_id]
        if isinstance(message, EpochMetrics):
            self._deaths[trial].got_on(message.epoch)
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
            outcome = result[RESULT]
            if isinstance(outcome, TrialError):
                relay.fail(outcome)
            else:
                relay.end(outcome)

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
        self._controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take note of Tune's controller, which is told to nobody else."""
        self._controller = tune_controller

    def end(self) -> None:
        """Let Tune end the trials' processes and give back its placement groups, as it does by itself at its end."""
        if self._controller is not None:
            self._controller.cleanup()

    def starting(self) -> list[Any]:
        """Return the actors whose process is not there yet; Tune itself gives none of them up."""
        return self._actors(begun=False)

    def begun(self) -> list[Any]:
        """Return the actors whose process is there."""
        return self._actors(begun=True)

    def _actors(self, *, begun: bool) -> list[Any]:
        if self._controller is None:
            return []
        started = self._controller._started_actors
        there = self._controller._actor_manager._live_actors_to_ray_actors_resources
        return [actor for tracked, (actor, _) in there.items() if (tracked in started) == begun]

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass on what the trial tells, and return what becomes of it."""
        goes_on = self._bridge.goes_on(trial.trial_id, result[MESSAGE])
        return str(FIFOScheduler.CONTINUE if goes_on else FIFOScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle nothing of the driver's process: Tune saves its scheduler, and is never restored from it."""
        return {}


class CallbackRelay(tune.Callback):  # type: ignore[misc]
    """Tells the bridge what Tune tells callbacks only: that a trial began, why it died, and that time has passed."""

    def __init__(self, bridge: SourceBridge, taken_words: Callable[[], Iterable[tuple[Trial, Progress]]]) -> None:
        """Relay to ``bridge``, and what ``taken_words`` returns of trials that get on."""
        self._bridge, self._taken_words = bridge, taken_words

    def __getstate__(self) -> dict[str, Any]:
        """Carry nothing to Ray's processes: the bridge is this one's."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Relay what trials have said since the last time: Tune looks around several times a second."""
        for trial, progress in self._taken_words():
            self._bridge.progressed(trial, progress)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Relay the start."""
        self._bridge.started(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Relay the last line of the error, and where the process was."""
        error = _error_of(trial)
        lost = _LOST_NODE.search(error)
        node = lost[1] if lost else trial.last_result.get(NODE)
        self._bridge.died(trial.trial_id, error.splitlines()[-1], node)


def _error_of(trial: Any) -> str:
    """Return the error that Tune has just written of a trial; ``get_error`` looks where it will be copied to later."""
    text = Path(trial.error_file).read_text() if trial.error_file else ""
    return text.rpartition("Failure # ")[2].strip() or "its process died"
