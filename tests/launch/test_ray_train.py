"""Trials of two processes on Ray: workers of Ray Train, which live on from trial to trial."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kaggle_ray.launch.by_name import make_launcher
from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.launch.local import LocalLauncher
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.reporters.events import EpochEnded, Event
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.crash import descendants
from kaggle_ray.testing.launcher_contract import LauncherRun, launch, trials_of
from kaggle_ray.testing.plain import PLAIN_FILE
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train.preemption import Terminated
from kaggle_ray.types import JsonValue, Trial

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

NUM_EPOCHS = 6
BASE: dict[str, JsonValue] = {**TINY, "model": "plain", "model_args": {}, "epochs": NUM_EPOCHS, "augment": "heavy"}
DIVERGING: dict[str, JsonValue] = {**BASE, "lr": 1e30, "optimizer": "sgd"}
WITHIN_S = 60.0
EXPERIMENTS = [{**BASE, "lr": 1e-2}, DIVERGING]


def plan_of(runs: Path, data: Path, *, checkpoint_every_s: float = 0.0) -> RunPlan:
    plan = make_plan(
        RunOptions(
            competition=PLAIN_FILE, experiments=EXPERIMENTS, data=data, runs=runs, run_id="x", device="cpu", threads=1,
            dtype="float32", num_slots=1, processes=2, checkpoint_every_s=checkpoint_every_s,
        )
    )  # fmt: skip
    prepare(plan, None)
    return plan


@pytest.fixture
def launcher() -> Launcher:
    return make_launcher("ray", RayPlacement(num_slots=1))


def workers() -> list[int]:
    return [pid for pid, command in descendants(os.getpid()).items() if "RayTrainWorker" in command]


def assert_same(run: LauncherRun, expected: LauncherRun, plan: RunPlan) -> None:
    outcomes = [(result.trial, result.status, result.error) for result in run.results]
    assert outcomes == [(result.trial, result.status, result.error) for result in expected.results]
    for trial in trials_of(plan):
        if trial.experiment_id != plan.experiments[1].experiment_id:
            assert run.predictions(trial) == expected.predictions(trial), f"{trial}: other bytes"


def when(trial: Trial, epoch: int, act: Callable[[], None]) -> Callable[[Event], None]:
    """Return what acts once ``trial`` has told of ``epoch``, the first time."""
    left = [act]

    def on_event(event: Event) -> None:
        if isinstance(event, EpochEnded) and (event.trial, event.metrics.epoch) == (trial, epoch) and left:
            left.pop()()

    return on_event


def gone(processes: Callable[[], list[int]]) -> bool:
    """Return whether there are none of ``processes`` any more, soon."""
    ends = time.monotonic() + WITHIN_S
    while processes() and time.monotonic() < ends:
        time.sleep(0.1)
    return not processes()


def hanging_actor() -> type:
    """Return an actor that hangs as it starts, of which Ray itself waits without limit."""

    class Hanging:
        def __init__(self, told: Path) -> None:
            told.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)

    return Hanging


def test_workers_that_hang_as_their_group_starts_are_killed_and_the_start_has_failed_by_name(tmp_path: Path) -> None:
    import ray

    @ray.remote(num_cpus=0)
    class Controller:
        def start_group(self, worker: type, told: Path) -> None:
            from kaggle_ray.launch.ray_group_start import GroupStartLimit

            group = ray.util.placement_group([{"CPU": 1}])
            with GroupStartLimit(3).on_worker_group_start():
                ray.get(group.ready())
                started = ray.remote(num_cpus=1)(worker).options(placement_group=group).remote(told)
                ray.get(started.__ray_ready__.remote())

    told, controller = tmp_path / "worker", Controller.remote()  # type: ignore[attr-defined]
    with pytest.raises(ray.exceptions.RayTaskError, match="StartupFailedError: workers did not start within 3 s"):
        ray.get(controller.start_group.remote(hanging_actor(), told), timeout=WITHIN_S)
    assert gone(lambda: [pid for pid in descendants(os.getpid()) if told.exists() and told.read_text() == str(pid)])
    ray.kill(controller)


def test_a_slot_that_hangs_as_it_starts_is_killed(tmp_path: Path) -> None:
    import ray

    from kaggle_ray.launch.ray_start_limit import SlotStartLimit

    slot = ray.remote(num_cpus=1)(hanging_actor()).remote(tmp_path / "slot")
    limit, ready = SlotStartLimit(lambda: [slot], 3), slot.__ray_ready__.remote()
    ends = time.monotonic() + WITHIN_S
    while not ray.wait([ready], timeout=0.1)[0] and time.monotonic() < ends:
        limit.on_step_begin(0, [])
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(ready, timeout=1)


def test_two_workers_save_their_step_where_they_are_to_end_live_on_from_trial_to_trial_and_are_replaced_where_killed(
    launcher: Launcher, toy_data: Path, tmp_path: Path
) -> None:
    expected = launch(LocalLauncher(), plan_of(tmp_path / "local", toy_data))
    plan = plan_of(tmp_path / "ray", toy_data, checkpoint_every_s=3600.0)
    first, second, *_ = trials = trials_of(plan)

    with pytest.raises(Terminated):
        launch(launcher, plan, on_event=when(first, 3, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    store = open_run(plan.location)
    assert [trial for trial in trials if store.checkpoint(trial) is not None] == [first]
    assert [trial for trial in trials if store.result(trial) is not None] == []
    assert gone(workers)

    def kill_one() -> None:
        one, _ = workers()
        os.kill(one, signal.SIGKILL)

    plan = plan_of(tmp_path / "ray", toy_data, checkpoint_every_s=0.0)
    run = launch(launcher, plan, on_event=when(second, 3, kill_one))
    assert_same(run, expected, plan)
    before, *others = run.results
    assert before.num_resumed >= 3, "the trial went on from the step that it was asked to end in"
    assert others[0].num_resumed > 0, "the trial went on from its checkpoint"
    assert {result.process_id for result in others} == {others[0].process_id}, "all that follow have the same workers"
    assert {os.getpid(), before.process_id}.isdisjoint({result.process_id for result in others})
    assert gone(workers)
