"""Runs trials on a Ray cluster, or on this machine's cores as a cluster of one, scheduled by Ray Tune.

One ``Tuner.fit`` per run. A trial runs in its actor's own process, or in workers that the actor owns where it takes
several, and actors are reused, so torch is imported once per slot. What Tune is asked to do is to place trials; what
runs next is the source's decision, and what was done is in the store: nothing is ever restored from Tune.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray._raylet import setproctitle  # type: ignore[attr-defined]
from ray.tune.experiment import Trial as TuneTrial

from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.launch.ray_bell import SlotWords, bell_of_driver, heed, progress_of
from kaggle_ray.launch.ray_bridge import MESSAGE, NAME, NODE, RESULT, CallbackRelay, SourceBridge, SourceScheduler
from kaggle_ray.launch.ray_head import head_watched
from kaggle_ray.launch.ray_results import columns_of, result_loggers, session_name
from kaggle_ray.launch.ray_secrets import credentials_unlogged
from kaggle_ray.launch.ray_session import RaySession, ray_session
from kaggle_ray.launch.ray_start_limit import SlotStartLimit, start_limit_s
from kaggle_ray.launch.ray_usage import callbacks_uncounted
from kaggle_ray.launch.reach import check_reach
from kaggle_ray.launch.trial_names import TrialNames
from kaggle_ray.launch.watchdog import Watchdog
from kaggle_ray.progress import progress_told_to
from kaggle_ray.reporters import Emit
from kaggle_ray.schedule.bounded import BoundedSource
from kaggle_ray.schedule.source import TrialSource
from kaggle_ray.store.opening import open_run
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.heartbeat import watched_by
from kaggle_ray.train.preemption import Terminated, sigterm_raises
from kaggle_ray.train.trial import TrialRunner, run_to_end
from kaggle_ray.types import Trial, TrialMessage, TrialResult

_CLEANUP_S = 15
"""Longer than it takes the workers of a slot to end by themselves."""


class RayTuneLauncher:
    """Several slots, each an actor with the cores, or the GPU, of one trial."""

    def __init__(self, placement: RayPlacement) -> None:
        """Run trials where ``placement`` says."""
        self._placement = placement

    def run(self, source: TrialSource, context: TrialContext, emit: Emit) -> None:
        """Run the source's trials on Ray, several at once."""
        with (
            tempfile.TemporaryDirectory(prefix="kaggle_ray_tune_") as folder,
            ray_session(context.settings, self._placement) as session,
            sigterm_raises(),
        ):
            if session.dashboard:
                emit(session.dashboard)
            check_reach(context.location, [node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]])
            # For a searcher of one's own Tune queues a single trial, and an actor that ends one would wait for the
            # next. What is queued beyond the slots is also what makes an autoscaler launch nodes.
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(2 * session.num_slots)
            # A slot that is to end, and hangs, is killed after this time, by default 600 s: what it holds is wanted.
            os.environ["TUNE_FORCE_TRIAL_CLEANUP_S"] = str(_CLEANUP_S)
            if session.is_cluster and self._placement.most_at_once is not None:
                source = BoundedSource(source, num_slots=self._placement.most_at_once)
            store = open_run(context.location)
            bridge = SourceBridge(source, store, emit, name_of=TrialNames(store.experiments))
            scheduler = SourceScheduler(bridge)
            results_folder = self._placement.results_folder
            loggers = result_loggers() if results_folder else []
            name, kept_in = session_name(context.location), results_folder or Path(folder)
            head = ray.get_runtime_context().gcs_address
            with (
                _given_back(scheduler, session),
                credentials_unlogged(),
                callbacks_uncounted(),
                head_watched(head),
                bell_of_driver(scheduler.begun) as bell,
            ):
                slot = _slot(context, bell, session)
                relay = CallbackRelay(bridge, SlotWords(bell).taken)
                _make_tuner(slot, bridge, scheduler, name=name, folder=kept_in, callbacks=[relay, *loggers]).fit()


@contextmanager
def _given_back(scheduler: SourceScheduler, session: RaySession) -> Iterator[None]:
    """End the slots, and give back what Tune has reserved, of a Ray that goes on, where this driver is interrupted.

    Whoever goes on in a Ray of his own, as in a notebook, still holds the traceback, and with it Tune and its slots:
    what they take of the cluster nobody else would ever get.
    """
    try:
        yield
    except BaseException:
        if session.is_cluster:
            scheduler.end()
        raise


def _make_tuner(
    slot: Any,
    bridge: SourceBridge,
    scheduler: SourceScheduler,
    *,
    name: str,
    folder: Path,
    callbacks: Sequence[tune.Callback],
) -> tune.Tuner:
    return tune.Tuner(
        slot,
        tune_config=tune.TuneConfig(
            search_alg=bridge,
            scheduler=scheduler,
            num_samples=-1,  # until the bridge says that the source is done
            reuse_actors=True,
            trial_name_creator=_name_of,
            trial_dirname_creator=_name_of,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(folder.absolute()),
            verbose=0,
            # Ours are in the store; of Tune's, which are kept per trial, a run of many trials would keep many.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),  # the bridge knows which deaths count
            callbacks=[SlotStartLimit(scheduler.starting, start_limit_s()), *callbacks],
        ),
    )


def _name_of(trial: TuneTrial) -> str:
    """Return what Tune calls a trial in its tables, its folders and its log."""
    return str(trial.config[NAME])


def _slot(context: TrialContext, bell: Any, session: RaySession) -> Any:
    """Return the kind of actor that runs trials, with what each of them takes: one identical kind, to be reused.

    The context goes by reference: what stands in a trial's config Tune repeats in every result of it.
    """
    if context.settings.world_size > 1:
        from kaggle_ray.launch.ray_train import GroupTrial, slot_of_head  # takes seconds, and only these trials need it

        group = tune.with_parameters(GroupTrial, context=context, bell=bell, is_cluster=session.is_cluster)
        return tune.with_resources(group, slot_of_head(session.num_slots))
    resources = {name.lower(): amount for name, amount in session.needed.items()}  # as Tune calls them
    slot = tune.with_resources(tune.with_parameters(FoldTrial, context=context, bell=bell), resources)
    slot.__qualname__ = FoldTrial.__name__  # the actor's class on Ray's dashboard; Tune's wrapper says its own there
    return slot


class FoldTrial(tune.Trainable):  # type: ignore[misc]
    """One slot: a step is a message of the current trial, mostly an epoch's, and the last step is its result."""

    def setup(self, config: dict[str, Any], context: TrialContext, bell: Any) -> None:
        """Begin the first trial."""
        self._bell, self._watchdog = bell, Watchdog.of(context.settings)
        self._node = ray.get_runtime_context().get_node_id()
        self._runner = TrialRunner(context)
        heed(bell, self._runner.notice.give)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process; one that its source stopped is still open there."""
        self._messages.close()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train on to the next message; at the end return the result."""
        # Ray's dashboard, as `ps`, shows a process by its title, which for an actor is its class and method: the trial
        # tells which is which. An actor's own name is that of its first trial for ever.
        setproctitle(f"ray::{self.config[NAME]}")
        try:
            with watched_by(self._watchdog), progress_told_to(self._progress):
                message = next(self._messages)
            return {MESSAGE: message, **columns_of(message), NODE: self._node}
        except StopIteration as stop:
            return {RESULT: stop.value, **columns_of(stop.value), NODE: self._node, "done": True}
        except Terminated:
            if not self._runner.notice.is_given:
                raise  # this very process has to end, and the trial begins again in another one
            return {"done": True}  # the driver has to end: nobody takes this

    def save_and_end(self) -> None:
        """Return when the checkpoint of the trial under way is saved; called by the driver, between two steps."""
        self._runner.notice.give()
        with suppress(Terminated):
            run_to_end(self._messages)

    def cleanup(self) -> None:
        """Stop the trial where it is."""
        self._messages.close()
        self._watchdog.close()

    def _begin(self, config: dict[str, Any]) -> None:
        trial = Trial(experiment_id=config["experiment_id"], fold=config["fold"])
        self._progress = progress_of(trial, self._bell)
        self._messages: Generator[TrialMessage, None, TrialResult] = self._runner.run(trial)


_: type[Launcher] = RayTuneLauncher
