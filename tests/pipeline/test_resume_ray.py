from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.testing.crash import RunProcesses
from kaggle_ray.testing.toy import TOY_FILE

pytestmark = [pytest.mark.slow, pytest.mark.ray]

NUM_TRIALS = 8
SPACE = f"""
from kaggle_ray.config import SearchSpace
from kaggle_ray.testing.toy import TINY
SPACE = SearchSpace(base={{**TINY, "epochs": 5}}, grid={{"lr": {[0.001 * number for number in range(1, 5)]}}})
"""
EPOCHS = 40
KILL_ONCE_COMMITTED = (0, 3, 7)
"""After that many committed trials and up to a second more, all processes of the run are killed."""
MARK = "KAGGLE_RAY_TEST_MARK"


def marked(mark: str) -> dict[int, str]:
    """Return the processes that inherited a marked environment."""
    found = {}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in environ.read_bytes():
                found[int(environ.parent.name)] = (environ.parent / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def num_committed(runs: Path) -> int:
    return len(list(runs.glob("toy/x/trials/*/fold*/result.json")))


def test_ray_runs_killed_at_three_moments_give_the_bytes_of_an_undisturbed_local_run(
    toy_data: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.py"
    space.write_text(SPACE)
    undisturbed = RunProcesses().run(
        RunOptions(
            competition=TOY_FILE, space=space, overrides={"epochs": EPOCHS}, data=toy_data, runs=tmp_path / "local",
            device="cpu", threads=1, dtype="float32",
        )
    )  # fmt: skip
    assert undisturbed is not None
    assert undisturbed.num_epochs_trained == NUM_TRIALS * EPOCHS

    runs, mark = tmp_path / "ray", uuid.uuid4().hex
    command = [
        sys.executable, "-c", "from kaggle_ray.cli import main; main()", "run", str(TOY_FILE),
        "--space", str(space), "--set", f"epochs={EPOCHS}", "--data", str(toy_data), "--runs", str(runs),
        "--run-id", "x", "--threads", "1", "--dtype", "float32", "--device", "cpu", "--slots", "2",
    ]  # fmt: skip
    moments = random.Random(0)
    try:
        for number, enough in enumerate(KILL_ONCE_COMMITTED):
            with (tmp_path / f"{number}.log").open("w") as log:
                process = start(command, mark, log.fileno())
                wait_for_commits(runs, enough, process)
                time.sleep(moments.uniform(0.0, 1.0) if enough else moments.uniform(1.0, 8.0))
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                assert process.wait(10) in (0, -signal.SIGKILL)
        before = num_committed(runs)
        with (tmp_path / "last.log").open("w+") as log:
            assert start(command, mark, log.fileno()).wait(120) == 0, (tmp_path / "last.log").read_text()
        assert before >= KILL_ONCE_COMMITTED[-1]
        assert (runs / "toy/x/submissions/submission.csv").read_bytes() == undisturbed.submission
        assert num_committed(runs) == NUM_TRIALS
        attempts = list(runs.glob("toy/x/trials/*/fold*/attempts/*"))
        assert len(attempts) == NUM_TRIALS, "the files of attempts that came to nothing are gone"
        wait_for(lambda: not marked(mark), seconds=30)
        assert marked(mark) == {}, "no process of any of the runs is left"
    finally:
        for process_id in marked(mark):
            os.kill(process_id, signal.SIGKILL)


def start(command: list[str], mark: str, log: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, MARK: mark}
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def wait_for_commits(runs: Path, enough: int, process: subprocess.Popen[bytes]) -> None:
    wait_for(lambda: num_committed(runs) >= enough or process.poll() is not None)


def wait_for(condition: Callable[[], bool], *, seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
