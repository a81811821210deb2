"""Ctrl-C: what is safe is told, and how to go on; the resumed run gives the undisturbed bytes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.reporters.events import RunInterrupted
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.testing.crash import RunProcesses, heed_ctrl_c
from kaggle_ray.testing.recorder import of_type
from kaggle_ray.testing.toy import TINY, TOY_FILE

KAGGLE_RAY = Path(sys.executable).parent / "kaggle-ray"

SPACE = f"""
from kaggle_ray import SearchSpace
SPACE = SearchSpace(base={{**{TINY!r}, "epochs": 60}}, grid={{"lr": [1e-2, 1e-3]}})
"""


def await_event(runs: Path, kind: str, process: subprocess.Popen[str], *, within_s: float = 300) -> Path:
    """Wait until a run below ``runs`` has written an event of that kind; return its folder."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        for path in runs.glob("*/*/events.jsonl"):
            if f'"kind": "{kind}"' in path.read_text():
                return path.parent
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"no {kind} within {within_s} s")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> bytes:
    """The submission of the same run, without a word from anybody."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "space.py").write_text(SPACE)
    options = RunOptions(
        competition=TOY_FILE, space=folder / "space.py", data=toy_data, runs=folder, device="cpu", threads=1
    )
    run = RunProcesses().run(options)
    assert run is not None
    return run.submission


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_the_resumed_run_gives_the_undisturbed_bytes(
    undisturbed: bytes, tmp_path: Path, toy_data: Path
) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    environment = {**os.environ, "PATH": f"{KAGGLE_RAY.parent}{os.pathsep}{os.environ['PATH']}"}

    command = [
        "kaggle-ray", "run", str(TOY_FILE), "--space", "space.py", "--data", str(toy_data), "--runs", "stopped",
        "--launcher", "local", "--device", "cpu", "--threads", "1",
    ]  # fmt: skip

    def finish(words: list[str]) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c,
    )  # fmt: skip
    try:
        run_dir = await_event(tmp_path / "stopped", "trial_ended", process)
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, printed + errors
    assert "Traceback" not in errors, errors
    events = [envelope.event for envelope in read_events(FileDiary(run_dir / "events.jsonl"))]
    (stopped,) = of_type(events, RunInterrupted)
    assert stopped.reason == "ctrl-c"
    num_safe = len(list(run_dir.glob("trials/*/fold*/result.json")))
    assert stopped.num_committed == num_safe
    assert 1 <= num_safe < 4
    assert f"stopped by ctrl-c: {num_safe} of 4 trials are safe." in printed
    assert not (run_dir / "submissions/submission.csv").exists()

    go_on, ensemble = (
        shlex.split(line.partition(":")[2])
        for line in printed.splitlines()
        if line.strip().startswith(("go on:", "ensemble what there is:"))
    )
    assert [*go_on, "--budget", "0s"] == ensemble
    finish(ensemble)
    assert len(list(run_dir.glob("trials/*/fold*/result.json"))) == num_safe
    assert finish(go_on)
    assert len(list(run_dir.glob("trials/*/fold*/result.json"))) == 4
    assert (run_dir / "submissions/submission.csv").read_bytes() == undisturbed
