"""Several processes that train a trial together: real ones, joined by gloo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.launch.local_peers import LocalRunner
from kaggle_ray.pipeline.options import ExperimentLike, RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.plain import PLAIN_FILE
from kaggle_ray.testing.toy import TINY
from kaggle_ray.types import FloatArray, Trial, TrialResult

pytestmark = pytest.mark.slow

BASE = {**TINY, "model": "plain", "model_args": {}, "epochs": 2, "batch_size": 10, "lr": 1e-2, "augment": "heavy"}
MIXED = {**BASE, "mixup": 0.4, "cutmix": 1.0, "accumulate": 2, "clip_norm": 1.0, "ema_decay": 0.9,
         "constraint": "max_norm", "constraint_args": {"max_norm": 0.5}, "l1": 0.01}  # fmt: skip
DROPPED = {**BASE, "epochs": 12, "evaluate_every": 12}


def plan_of(runs: Path, data: Path, *experiments: ExperimentLike, processes: int) -> RunPlan:
    plan = make_plan(
        RunOptions(
            competition=PLAIN_FILE, experiments=experiments, data=data, runs=runs, run_id=f"x{processes}",
            device="cpu", threads=1, dtype="float32", processes=processes, checkpoint_every_s=0.0,
        )
    )  # fmt: skip
    prepare(plan, None)
    return plan


def run(runner: LocalRunner, trial: Trial) -> TrialResult:
    epochs = runner.run(trial)
    while True:
        try:
            next(epochs)
        except StopIteration as stop:
            result: TrialResult = stop.value
            return result


def trials_of(plan: RunPlan) -> Iterator[Trial]:
    return (Trial(experiment_id=experiment.experiment_id, fold=0) for experiment in plan.experiments)


def predictions(plan: RunPlan, result: TrialResult) -> tuple[FloatArray, FloatArray]:
    valid, test = open_run(plan.location).predictions(result)
    return np.asarray(valid.values), np.asarray(test.values)


def test_two_processes_train_as_one_does(tmp_path: Path, toy_data: Path) -> None:
    found = []
    for processes in (1, 2):
        plan = plan_of(tmp_path, toy_data, BASE, MIXED, processes=processes)
        with closing(LocalRunner(plan.trial_context())) as runner:
            results = [run(runner, trial) for trial in trials_of(plan)]
        assert [result.error for result in results] == [None, None]
        found.append([(result, *predictions(plan, result)) for result in results])
    for (alone, valid, test), (together, other_valid, other_test) in zip(*found, strict=True):
        for one, two in zip(alone.history, together.history, strict=True):
            assert two.train_loss == pytest.approx(one.train_loss, rel=1e-5)
            assert two.valid_loss == pytest.approx(one.valid_loss, rel=1e-5)
            assert two.lr == one.lr
        assert np.abs(valid - other_valid).max() < 1e-5
        assert np.abs(test - other_test).max() < 1e-5


def test_two_processes_yield_every_training_row(tmp_path: Path, toy_data: Path) -> None:
    plan = plan_of(tmp_path, toy_data, {**BASE, "epochs": 1}, processes=2)
    with closing(LocalRunner(plan.trial_context())) as runner:
        (result,) = [run(runner, trial) for trial in trials_of(plan)]
    lineage = open_run(plan.location).predictions(result)[0].lineage
    assert lineage is not None
    assert np.flatnonzero(lineage.trained_rows).tolist() == plan.folds.train_rows(0).tolist()


def test_sharded_evaluation_is_that_of_one_process_to_the_bit(tmp_path: Path, toy_data: Path) -> None:
    """With a learning rate of next to nothing both have the weights that they began with."""
    still = {**TINY, "epochs": 1, "lr": 1e-30, "weight_decay": 0.0, "batch_size": 7, "tta": "hflip"}
    found = []
    for processes in (1, 2):
        plan = plan_of(tmp_path, toy_data, {**still, "model": "plain", "model_args": {}}, processes=processes)
        with closing(LocalRunner(plan.trial_context())) as runner:
            (result,) = [run(runner, trial) for trial in trials_of(plan)]
        found.append((result.history[0].valid_loss, *(part.tobytes() for part in predictions(plan, result))))
    assert found[0] == found[1]


def test_a_process_that_dies_fails_the_trial_for_now_and_the_next_one_goes_on_from_its_checkpoint(
    tmp_path: Path, toy_data: Path
) -> None:
    plan = plan_of(tmp_path, toy_data, DROPPED, processes=2)
    reference = plan_of(tmp_path / "reference", toy_data, DROPPED, processes=2)
    (trial,) = trials_of(plan)
    with closing(LocalRunner(plan.trial_context())) as runner:
        epochs = runner.run(trial)
        for _ in range(4):
            next(epochs)
        assert runner._peers is not None
        (peer,) = runner._peers._processes
        peer.send_signal(signal.SIGKILL)
        failed = None
        try:
            while True:
                next(epochs)
        except StopIteration as stop:
            failed = stop.value
        assert failed.status == "failed"
        assert open_run(plan.location).result(trial) is None
        result = run(runner, trial)
    assert result.status == "committed"
    assert 1 <= result.num_resumed < 12
    with closing(LocalRunner(reference.trial_context())) as runner:
        undisturbed = run(runner, trial)
    for part, other in zip(predictions(plan, result), predictions(reference, undisturbed), strict=True):
        assert part.tobytes() == other.tobytes()
    assert [m.train_loss for m in result.history] == [m.train_loss for m in undisturbed.history]


def test_an_error_of_another_process_is_told_as_its_own(tmp_path: Path, toy_data: Path) -> None:
    plan = plan_of(tmp_path, toy_data, {**BASE, "lr": 1e30, "optimizer": "sgd"}, processes=2)
    with closing(LocalRunner(plan.trial_context())) as runner:
        (result,) = [run(runner, trial) for trial in trials_of(plan)]
    assert result.status == "failed"
    assert "the loss of epoch" in (result.error or "")
    assert "Try a smaller lr" in (result.error or "")


def test_batches_that_are_too_small_for_the_processes_are_an_error(tmp_path: Path, toy_data: Path) -> None:
    plan = plan_of(tmp_path, toy_data, {**BASE, "batch_size": 2, "accumulate": 2}, processes=2)
    with closing(LocalRunner(plan.trial_context())) as runner:
        (result,) = [run(runner, trial) for trial in trials_of(plan)]
    assert "cannot be split among 2 processes in 2 pieces each" in (result.error or "")


def test_a_trial_that_is_closed_after_an_epoch_leaves_its_processes_to_the_next_and_closing_leaves_none(
    tmp_path: Path, toy_data: Path
) -> None:
    plan = plan_of(tmp_path, toy_data, BASE, {**BASE, "seed": 1}, processes=2)
    closed, trained = trials_of(plan)
    with closing(LocalRunner(plan.trial_context())) as runner:
        epochs = runner.run(closed)
        next(epochs)
        assert runner._peers is not None
        (peer,) = runner._peers._processes
        epochs.close()
        assert run(runner, trained).status == "committed"
        assert runner._peers._processes == [peer]
    assert peer.poll() is not None


def test_a_trial_that_every_process_fails_of_leaves_them_to_the_next(tmp_path: Path, toy_data: Path) -> None:
    plan = plan_of(tmp_path, toy_data, {**BASE, "lr": 1e30, "optimizer": "sgd"}, BASE, processes=2)
    diverging, trained = trials_of(plan)
    with closing(LocalRunner(plan.trial_context())) as runner:
        failed = run(runner, diverging)
        assert "the loss of epoch" in (failed.error or "")
        assert open_run(plan.location).result(diverging) == failed, "it would repeat itself"
        assert runner._peers is not None
        (peer,) = runner._peers._processes
        assert run(runner, trained).status == "committed"
        assert runner._peers._processes == [peer]


STUCK = """
import sys, time
from pathlib import Path
import torch.distributed as dist
from kaggle_ray.config.settings import Settings
from kaggle_ray.launch.local_peers import Peers
from kaggle_ray.train.context import TrialContext

def hang(how):
    Path("stuck").touch()
    time.sleep(600) if how == "sleeps" else dist.barrier()

class Hanging:
    # In place of a trial: whoever receives it hangs.
    def __reduce__(self):
        return hang, (sys.argv[1],)

if __name__ == "__main__":
    import stuck
    settings = Settings(device="cpu", threads_per_trial=1, dtype="float32", world_size=2)
    peers = Peers(TrialContext(sources=None, data="", location="", settings=settings))
    peers.begin(stuck.Hanging())
    print(peers._processes[0].pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", ["sleeps", "waits for the others"])
def test_a_process_ends_soon_after_the_first_was_killed_whatever_it_is_doing(how: str, tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    path = os.pathsep.join([str(tmp_path), *(folder for folder in sys.path if folder)])
    process = subprocess.Popen(
        [sys.executable, "stuck.py", how], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    peer = Path("/proc", process.stdout.readline().strip())
    ends = time.monotonic() + 30
    while not (tmp_path / "stuck").exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert peer.exists()
    process.kill()
    process.communicate()
    ends = time.monotonic() + 5
    while peer.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not peer.exists()
