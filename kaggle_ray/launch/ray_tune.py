"""Runs trials on a Ray cluster, or on this machine's cores as a cluster of one, scheduled by Ray Tune.

One ``Tuner.fit`` per run. A trial runs in its actor's own process, and actors are reused, so torch is imported once per
slot. What Tune is asked to do is to place trials; what runs next is the source's decision, and what was done is in the
store: nothing is ever restored from Tune.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from kaggle_ray.config.settings import Settings
from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import TrialEnded, TrialStarted, event_of
from kaggle_ray.schedule.source import Done, TrialSource, Wait
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.failures import NUM_RETRIES_OF_A_DEAD_PROCESS
from kaggle_ray.train.preemption import sigterm_kept, sigterm_raises
from kaggle_ray.train.trial import TrialRunner
from kaggle_ray.types import Trial, TrialMessage, TrialResult

_MESSAGE, _RESULT = "kaggle_ray_message", "kaggle_ray_result"
_OBJECT_STORE_BYTES = 200 * 2**20

_ENVIRONMENT = {
    # Tune's new output prints a table even with verbose=0; the old one is silent then, and our reporters tell.
    "RAY_AIR_NEW_OUTPUT": "0",
    # A competition's relative paths mean the folder that the run was started in, not one that Tune makes per trial.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Started by `uv run`, Ray would pack the working folder, data and runs included, and install it for each worker.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Nothing of a user's runs is sent to anybody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # The store is the only truth: no CSV, JSON and TensorBoard files of each trial beside it.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-c has to reach the driver, which tells how to go on; Tune's handler would take it to save its own state.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's snapshots of its state go to a temporary folder and are never read: how often they come is no warning.
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Variables of Ray and Tune that are set before either starts."""


class RayTuneLauncher:
    """Several slots, each an actor with the cores, or the GPU, of one trial."""

    def __init__(self, *, num_slots: int) -> None:
        """Keep twice ``num_slots`` trials queued, so that an actor that ends one finds the next waiting."""
        self._num_slots = num_slots

    def run(self, source: TrialSource, context: TrialContext, emit: Emit) -> None:
        """Run the source's trials on Ray, several at once.

        A cluster is joined where RAY_ADDRESS names one; otherwise one is started on this machine.
        """
        os.environ.update(_ENVIRONMENT)
        # For a searcher of one's own Tune queues a single trial, and an actor that ends one would wait for the next.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(2 * self._num_slots)
        with tempfile.TemporaryDirectory(prefix="kaggle_ray_tune_") as folder:
            with sigterm_kept():  # Ray's own would end this process without a word
                _start_ray(context.settings, self._num_slots)
            try:
                with sigterm_raises():
                    _make_tuner(source, context, emit, folder).fit()
            finally:
                ray.shutdown()


def _start_ray(settings: Settings, num_slots: int) -> None:
    address = os.environ.get("RAY_ADDRESS", "local")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address != "local":
        ray.init(address=address, **quiet)
        return
    ray.init(
        address="local",
        num_cpus=num_slots * settings.threads_per_trial * settings.world_size,
        num_gpus=num_slots * settings.world_size if settings.device == "cuda" else 0,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        **quiet,
    )


def _make_tuner(source: TrialSource, context: TrialContext, emit: Emit, folder: str) -> tune.Tuner:
    settings = context.settings
    resources = {
        "cpu": settings.threads_per_trial * settings.world_size,
        "gpu": settings.world_size if settings.device == "cuda" else 0,
    }
    bridge = SourceBridge(source, emit)
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(FoldTrial, context=context), resources),
        tune_config=tune.TuneConfig(search_alg=bridge, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=folder,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=NUM_RETRIES_OF_A_DEAD_PROCESS),
            callbacks=[CallbackRelay(bridge)],
        ),
    )


class FoldTrial(tune.Trainable):  # type: ignore[misc]
    """One slot: a step is a message of the current trial, mostly an epoch's, and the last step is its result."""

    def setup(self, config: dict[str, Any], context: TrialContext) -> None:
        """Begin the first trial."""
        self._runner = TrialRunner(context)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process."""
        trial = Trial(experiment_id=new_config["experiment_id"], fold=new_config["fold"])
        self._messages: Generator[TrialMessage, None, TrialResult] = self._runner.run(trial)
        return True

    def step(self) -> dict[str, Any]:
        """Train on to the next message; at the end return the result."""
        try:
            return {_MESSAGE: next(self._messages)}
        except StopIteration as stop:
            return {_RESULT: stop.value, "done": True}

    def cleanup(self) -> None:
        """Stop the trial where it is."""
        self._messages.close()
        self._runner.close()


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
        if _MESSAGE in result:
            self._emit(event_of(self._running[trial_id], result[_MESSAGE]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the result. Of a process that died Tune tells more later: see ``died``."""
        if not error and result:
            self._end(trial_id, result[_RESULT])

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


_: type[Launcher] = RayTuneLauncher
