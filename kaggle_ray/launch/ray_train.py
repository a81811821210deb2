"""A trial of several ranks on Ray: workers of Ray Train, which live on from trial to trial.

A slot is an actor of Tune, as for trials of one process. It owns a ``GroupTrainer`` whose train loop asks for the next
trial, runs what every rank runs, tells what came of it, and asks again: starting Ray Train anew for each trial would
cost 17 s of each. Ray Train places the workers, on several nodes where one has no room, joins their process group, and
sees when one dies or hangs: then it starts another group, which goes on with the trial from our own checkpoint.

``ray.train.report`` is not called: it is a barrier, polled by Ray Train's controller, and reports one training, where
the workers have many. Messages go through the slot's ``Exchange``.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
import uuid
from contextlib import closing, nullcontext, suppress
from typing import Any

import ray
from ray import train, tune
from ray.exceptions import RayError
from ray.train.torch import TorchConfig

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import TrialError
from kaggle_ray.launch.ray_bell import beside_this_process, heed, progress_of
from kaggle_ray.launch.ray_bridge import MESSAGE, NODE, RESULT
from kaggle_ray.launch.ray_controller_watch import ControllerWatch
from kaggle_ray.launch.ray_exchange import Exchange, Verdict
from kaggle_ray.launch.ray_group_start import GroupStartLimit
from kaggle_ray.launch.ray_groups import remove_orphaned_groups
from kaggle_ray.launch.ray_last_words import LastWords
from kaggle_ray.launch.ray_results import columns_of
from kaggle_ray.launch.ray_start_limit import start_limit_s
from kaggle_ray.launch.ray_trainer import NO_PREEMPTION_WATCHER, GroupTrainer
from kaggle_ray.launch.watchdog import Watchdog
from kaggle_ray.progress import progress_told_to
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.failures import reason_of
from kaggle_ray.train.heartbeat import watched_by
from kaggle_ray.train.preemption import Terminated
from kaggle_ray.train.ranks import Group
from kaggle_ray.train.trial import TrialRunner
from kaggle_ray.types import EpochMetrics, Trial, TrialResult

_ENVIRONMENT = {
    # A competition's relative paths mean the folder that the run was started in, not one that Train makes.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # How soon Ray Train sees that a worker died or is done: by default every 2 s.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # How long a worker may not answer before its group is replaced: by default 600 s. A step that hangs is no business
    # of Ray Train's, whose answers come from another thread: see the workers' watchdog.
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "60",
}
"""Variables of Ray Train that are set in a slot's process, which is its driver."""
_ENVIRONMENT_OF_GPUS = {
    # A rank that is gone leaves the others in an NCCL call that never ends: by default Ray Train does not look.
    "RAY_TRAIN_ENABLE_NCCL_HANG_DETECTOR": "1",
    # By default a hang that is found is logged, and goes on.
    "RAY_TRAIN_NCCL_RAS_ACTION": "fail",
}
_END_S = 10.0


def slot_of_head(num_slots: int) -> tune.PlacementGroupFactory:
    """Return what a slot itself takes: a share of the head's own resource, of which there is 1.

    The share is such that ``num_slots`` of them fit and no more: Tune sees nothing of the cores and GPUs of the
    workers, and would start more slots than these have room for. ``max_concurrent_trials`` would wrap our searcher,
    and leave no trial queued that a slot could go on with. A share of a core in place of the head's resource is
    retried for ever where the head has none.
    """
    share = math.floor(1e4 * (1 / num_slots + 1 / (num_slots + 1)) / 2) / 1e4
    return tune.PlacementGroupFactory([{"node:__internal_head__": share}])


class GroupTrial(tune.Trainable):  # type: ignore[misc]
    """One slot: a step is a message of the current trial, mostly an epoch's, and the last step is its result."""

    def setup(self, config: dict[str, Any], context: TrialContext, bell: Any, is_cluster: bool) -> None:
        """Start the workers, and begin the first trial."""
        os.environ.update(_ENVIRONMENT if is_cluster else {**_ENVIRONMENT, **NO_PREEMPTION_WATCHER})
        if context.settings.device == "cuda":
            os.environ.update(_ENVIRONMENT_OF_GPUS)
        remove_orphaned_groups()  # of a slot that was killed, in whose place this one is: its workers' cores are needed
        self._node = ray.get_runtime_context().get_node_id()
        self._watchdog = Watchdog.against_stops()
        self._exchange = beside_this_process(Exchange)
        is_watched = self._exchange.watch.remote()
        self._folder = tempfile.TemporaryDirectory(prefix="kaggle_ray_train_")
        trainer = _make_trainer(context, self._exchange, bell, self._folder.name, is_cluster=is_cluster)
        self._workers = threading.Thread(target=_fit, args=(trainer, self._exchange), daemon=True)
        self._workers.start()
        ray.get(is_watched)  # while the workers' own processes start
        heed(bell, lambda: ray.get(self._exchange.end.remote()))
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial with the same workers; one that its source stopped ends where it is."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train on to the next message; at the end return the result."""
        message = ray.get(self._exchange.take.remote())
        if message is None:
            return {"done": True}  # the driver has to end: nobody takes this
        if isinstance(message, TrialResult | TrialError):
            return {RESULT: message, **columns_of(message), NODE: self._node, "done": True}
        return {MESSAGE: message, **columns_of(message), NODE: self._node}

    def save_and_end(self) -> None:
        """Return when the checkpoint of the trial under way is saved; called by the driver, between two steps."""
        ray.get(self._exchange.end.remote())
        ray.get(self._exchange.ended.remote())

    def cleanup(self) -> None:
        """End the workers."""
        ray.get(self._exchange.close.remote())
        self._workers.join(_END_S)
        self._folder.cleanup()
        self._watchdog.close()

    def _begin(self, config: dict[str, Any]) -> None:
        trial = Trial(experiment_id=config["experiment_id"], fold=config["fold"])
        ray.get(self._exchange.begin.remote(trial))


def _make_trainer(context: TrialContext, exchange: Any, bell: Any, folder: str, *, is_cluster: bool) -> GroupTrainer:
    settings = context.settings
    return GroupTrainer(
        _run_trials,
        is_cluster=is_cluster,
        train_loop_config={"context": context, "exchange": exchange, "bell": bell},
        torch_config=TorchConfig(backend=_backend_of(settings)),
        scaling_config=train.ScalingConfig(
            num_workers=settings.world_size,
            use_gpu=settings.device == "cuda",  # a whole one each: two ranks of NCCL on one GPU hang
            resources_per_worker={"CPU": settings.threads_per_trial, "GPU": int(settings.device == "cuda")},
        ),
        run_config=train.RunConfig(
            name="group",
            storage_path=folder,  # nothing is kept there: checkpoints are in the run's store
            # The group serves many trials: how often one may be begun again is counted by the exchange.
            failure_config=train.FailureConfig(max_failures=-1),
            callbacks=[LastWords(exchange), GroupStartLimit(start_limit_s()), ControllerWatch()],
        ),
    )


def _backend_of(settings: Settings) -> str:
    return "nccl" if settings.device == "cuda" else "gloo"


def _fit(trainer: GroupTrainer, exchange: Any) -> None:
    """Keep the workers until the exchange is closed; where Ray Train gives up, let the slot know."""
    died_of = None
    try:
        trainer.fit()
    except Exception as error:  # whatever it is, the slot must not wait for messages
        died_of = reason_of(error)
    ray.get(exchange.close.remote(died_of))


def _run_trials(config: dict[str, Any]) -> None:
    """Run one trial after the other as one of the ranks, in a worker of Ray Train, which has joined them."""
    context, exchange, bell = config["context"], config["exchange"], config["bell"]
    ranks, runner, number = Group(context.settings), TrialRunner(context), 0
    if ranks.rank == 0:  # whose notice is everyone's
        threading.Thread(target=_give_notice, args=(runner, exchange), daemon=True).start()
    group = ranks.of_first(uuid.uuid4().hex)
    ray.get(exchange.join.remote(group, ray.get_runtime_context().get_node_id()))
    with closing(Watchdog.of(context.settings)) as watchdog, watched_by(watchdog), suppress(Terminated):
        while (step := ray.get(exchange.next_trial.remote(group, number))) is not None:
            number, trial = step
            with progress_told_to(progress_of(trial, bell)) if ranks.rank == 0 else nullcontext():
                _run_trial(runner, ranks, trial, number, exchange)
    if ranks.rank == 0:
        ray.get(exchange.close.remote())


def _give_notice(runner: TrialRunner, exchange: Any) -> None:
    with suppress(RayError):  # the exchange has gone with the slot, and so will this process
        ray.get(exchange.ending.remote())
        runner.notice.give()


def _run_trial(runner: TrialRunner, ranks: Group, trial: Trial, number: int, exchange: Any) -> None:
    num_epochs = 0
    with closing(runner.run(trial, ranks)) as messages:
        while True:
            try:
                message = next(messages)
            except StopIteration as ended:
                result: TrialResult = ended.value
                break
            if ranks.rank == 0:
                ray.get(exchange.tell.remote(number, message))
            if isinstance(message, EpochMetrics):
                num_epochs += 1
                verdict: Verdict = ray.get(exchange.verdict.remote(number, num_epochs))
                if verdict == "close":
                    return
                if verdict == "save and end" and ranks.rank == 0:
                    runner.notice.give()
    if result.status == "failed" and not ranks.failed_together:
        ray.get(exchange.failed_alone.remote(number, result.error))
        raise TrialError(f"{result.error}: the other processes wait for this one, and all are replaced.")
    if ranks.rank == 0:
        ray.get(exchange.tell.remote(number, result))
