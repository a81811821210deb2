"""Runs on several nodes lose processes, nodes and drivers at any moment, and end with an undisturbed run's bytes.

KAGGLE_RAY_CHAOS_FAULTS is how often in all: ``make chaos`` has 30.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kaggle_ray.launch.watchdog import VARIABLE
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.testing.crash import RunProcesses
from kaggle_ray.testing.ray_cluster import ToyCluster, toy_cluster
from kaggle_ray.testing.toy import TOY_FILE

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1800)]

NUM_FAULTS = int(os.environ.get("KAGGLE_RAY_CHAOS_FAULTS", "10"))
NUM_NODES = 3
"""Nodes of one core each: two workers of a trial are on two of them."""
NUM_EXPERIMENTS = {1: 6, 2: 3}
"""Of trials of one process, which run three at a time, and of two, which run one by one."""
NUM_FOLDS = 2
EPOCHS = 40
SPACE = """
from kaggle_ray.config import SearchSpace
from kaggle_ray.testing.toy import TINY
SPACE = SearchSpace(
    base={{**TINY, "epochs": {epochs}, "augment": "heavy"}}, grid={{"lr": {rates}}}
)
"""
MOST_SECONDS_BETWEEN = 4.0
DRAIN_SECONDS = 3
HANG_SECONDS = 10


class Disturbance:
    """Lets one thing after another happen to a run, in a drawn order and at drawn moments."""

    def __init__(self, cluster: ToyCluster, *, num_workers: int, num_faults: int, seed: int) -> None:
        """Draw ``num_faults`` faults, of each kind as many as of any other, to trials of ``num_workers`` each."""
        kinds = [self.lose_node, self.drain_node, self.kill_driver, self.stop_worker, self.kill_worker]
        self._cluster = cluster
        self._num_workers = num_workers
        self._random = random.Random(seed)
        self._left: list[Callable[[subprocess.Popen[bytes]], None]] = [kinds[n % len(kinds)] for n in range(num_faults)]
        self._random.shuffle(self._left)
        self._due: float | None = None
        self._told_then = 0
        self.happened: list[str] = []

    @property
    def is_over(self) -> bool:
        """Whether all faults have happened."""
        return not self._left

    def look_at(self, driver: subprocess.Popen[bytes], events: Path) -> None:
        """Let the next fault happen where it is due: some seconds after a trial has told something since the last."""
        told = self._told(events)
        if self._due is None and told > self._told_then:
            self._due = time.monotonic() + self._random.uniform(0.0, MOST_SECONDS_BETWEEN)
        elif self._left and self._due is not None and time.monotonic() > self._due and self._has_victims():
            fault = self._left.pop()
            fault(driver)
            self.happened.append(fault.__name__)
            self._due, self._told_then = None, self._told(events)

    def _told(self, events: Path) -> int:
        """Return how much is told, before a process is stopped: of epochs.

        A process that is stopped while it starts costs a whole limit of starts; that it is found shows test_ray_train.
        """
        text = events.read_text() if events.exists() else ""
        is_stop = bool(self._left) and self._left[-1] == self.stop_worker
        return text.count('"kind": "epoch_ended"') if is_stop else text.count("\n")

    def kill_worker(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill a process that works at trials, or drives the workers of one."""
        with suppress(IndexError, ProcessLookupError):  # it has just ended by itself
            os.kill(self._random.choice(self._cluster.workers() + self._cluster.slots()), signal.SIGKILL)

    def stop_worker(self, driver: subprocess.Popen[bytes]) -> None:
        """Stop a process that works at trials, or drives the workers of one, as if it hung."""
        with suppress(IndexError, ProcessLookupError):
            os.kill(self._random.choice(self._cluster.workers() + self._cluster.slots()), signal.SIGSTOP)

    def lose_node(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill a node; where a trial would not fit on those that are left, others join them first."""
        self._cluster.lose_node(self._drawn_node())

    def drain_node(self, driver: subprocess.Popen[bytes]) -> None:
        """Take a node away as a spot machine is taken."""
        self._cluster.drain_node(self._drawn_node(), seconds=DRAIN_SECONDS)

    def kill_driver(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill the driver, which is started again."""
        driver.kill()

    def _has_victims(self) -> bool:
        return bool(self._cluster.workers() and (self._num_workers == 1 or self._cluster.slots()))

    def _drawn_node(self) -> int:
        if self._cluster.num_nodes == self._num_workers:
            for _ in range(NUM_NODES - self._num_workers):
                self._cluster.add_node()
        return self._random.randrange(self._cluster.num_nodes)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ToyCluster]:
    with toy_cluster(num_nodes=NUM_NODES, environment={VARIABLE: str(HANG_SECONDS)}) as cluster:
        yield cluster


def num_committed(run_dir: Path) -> int:
    return len(list(run_dir.glob("trials/*/fold*/result.json")))


def run_to_the_end(
    command: list[str], environment: dict[str, str], disturbance: Disturbance, run_dir: Path, num_trials: int
) -> None:
    """Run the same command until it ends by itself with all trials committed.

    A trial that was hit twice has failed for now, and the next run of the same command repeats it.
    """
    log = run_dir.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with log.open("ab") as file:
            driver = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=file, stderr=file, start_new_session=True
            )
        try:
            while driver.poll() is None:
                disturbance.look_at(driver, run_dir / "events.jsonl")
                time.sleep(0.05)
        finally:
            driver.kill()
            driver.wait()
        assert driver.returncode in (0, -signal.SIGKILL), log.read_text()
        if driver.returncode == 0 and num_committed(run_dir) == num_trials:
            return


@pytest.mark.parametrize("num_workers", [1, 2])
def test_runs_end_with_the_same_bytes_whatever_happens_to_their_workers_nodes_and_drivers(
    num_workers: int, cluster: ToyCluster, toy_data: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.py"
    num_trials = NUM_EXPERIMENTS[num_workers] * NUM_FOLDS
    rates = [1e-3 * number for number in range(1, NUM_EXPERIMENTS[num_workers] + 1)]
    space.write_text(SPACE.format(epochs=EPOCHS, rates=rates))
    undisturbed = RunProcesses().run(
        RunOptions(
            competition=TOY_FILE, space=space, data=toy_data, runs=tmp_path / "local", device="cpu", threads=1,
            dtype="float32", processes=num_workers,
        )
    )  # fmt: skip
    assert undisturbed is not None
    while cluster.num_nodes < NUM_NODES:  # those that an earlier test has lost
        cluster.add_node()
    environment = {"RAY_ADDRESS": cluster.address, "TMPDIR": str(tmp_path), VARIABLE: str(HANG_SECONDS)}
    num_faults = (NUM_FAULTS + num_workers - 1) // 2
    disturbance = Disturbance(cluster, num_workers=num_workers, num_faults=num_faults, seed=0)
    number = 0
    while not disturbance.is_over:
        command = [
            sys.executable, "-c", "from kaggle_ray.cli import main; main()", "run", str(TOY_FILE),
            "--space", str(space), "--data", str(toy_data), "--runs", str(tmp_path / "ray"), "--run-id", str(number),
            "--threads", "1", "--dtype", "float32", "--device", "cpu", "--slots", str(NUM_NODES // num_workers),
            "--processes", str(num_workers), "--checkpoint-every", "0",
        ]  # fmt: skip
        run_dir = tmp_path / "ray/toy" / str(number)
        run_to_the_end(command, environment, disturbance, run_dir, num_trials)
        print(number, disturbance.happened, flush=True)
        assert (run_dir / "submissions/submission.csv").read_bytes() == undisturbed.submission, disturbance.happened
        attempts = list(run_dir.glob("trials/*/fold*/attempts/*"))
        assert len(attempts) == num_trials, "the files of attempts that came to nothing are gone"
        number += 1
