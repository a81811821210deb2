"""Whole runs that are asked to end, in this process and on Ray: by a spot machine's notice, ``kill``, ctrl-c."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from kaggle_ray.testing.command_line import KAGGLE_RAY, call
from kaggle_ray.testing.run_command import RunCommand, processes_ended, wait_for

pytestmark = pytest.mark.slow

LOCALLY = ("--launcher", "local")
Start = Callable[..., RunCommand]


def _starting(folder: Path, data: Path, stack: ExitStack) -> Start:
    """Return what makes commands below a folder; what is left of their processes is killed at the end."""

    def make(name: str, *arguments: str, num_epochs: int = 120, num_experiments: int = 1) -> RunCommand:
        command = RunCommand(folder / name, data, arguments, num_epochs, num_experiments)
        stack.enter_context(processes_ended(command))
        return command

    return make


@pytest.fixture
def command_of(tmp_path: Path, toy_data: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield _starting(tmp_path, toy_data, stack)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """What becomes of a run that nobody asks to end; the same arguments are run once for all tests."""
    with ExitStack() as stack:
        make = _starting(tmp_path_factory.mktemp("undisturbed"), toy_data, stack)

        @cache
        def outcome_of(*arguments: str, **sizes: int) -> dict[str, str]:
            command = make(str(outcome_of.cache_info().misses), *arguments, **sizes)
            assert command.start().wait(240) == 0
            return command.outcome()

        yield outcome_of


def said_at_end(process: subprocess.Popen[str], code: int, *, within_s: float = 60.0) -> str:
    """Return what a process said that ended with ``code``, and with no traceback."""
    said, _ = process.communicate(timeout=within_s)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


def test_a_run_that_is_asked_to_end_twice_goes_on_from_that_very_step(
    command_of: Start, undisturbed: Callable[..., dict[str, str]]
) -> None:
    expected = undisturbed(*LOCALLY)
    run = command_of("run", *LOCALLY)
    for number, reason, code, num_steps in ((signal.SIGTERM, "sigterm", 143, 150), (signal.SIGINT, "ctrl-c", 130, 330)):
        process = run.start()
        assert wait_for(lambda enough=num_steps: len(run.steps()) > enough)  # type: ignore[misc]
        process.send_signal(number)
        said = said_at_end(process, code)
        assert f"stopped by {reason}: " in said
        assert "go on:" in said
        assert run.last_event() == "run_interrupted"
        assert len(run.checkpoints()) == 1
    assert run.start().wait(240) == 0
    assert max(Counter(run.steps()).values()) == 1, "no step was trained twice"
    assert run.outcome() == expected


def test_two_processes_save_the_step_that_they_are_asked_to_end_in(
    command_of: Start, undisturbed: Callable[..., dict[str, str]]
) -> None:
    arguments = (*LOCALLY, "--processes", "2")
    expected = undisturbed(*arguments)
    run = command_of("run", *arguments)
    process = run.start()
    assert wait_for(lambda: len(run.steps()) > 300)
    assert len(run.processes()) == 2
    os.killpg(process.pid, signal.SIGTERM)
    said_at_end(process, 143)
    assert wait_for(lambda: not run.processes(), seconds=30), run.processes()
    assert run.start().wait(240) == 0
    assert max(Counter(run.steps()).values()) == 1, "no step was trained twice"
    assert run.outcome() == expected


def test_a_killed_process_leaves_none_behind_that_trained_with_it(command_of: Start) -> None:
    run = command_of("run", *LOCALLY, "--processes", "2")
    process = run.start()
    assert wait_for(lambda: len(run.steps()) > 50)
    assert len(run.processes()) == 2
    process.kill()
    assert wait_for(lambda: not run.processes(), seconds=30), run.processes()
    process.communicate()


# On Ray ---------------------------------------------------------------------------------------------------------------

SIZES = {"num_epochs": 80, "num_experiments": 5}
NUM_TRIALS = 10


@pytest.mark.ray
def test_a_run_on_ray_is_killed_loses_an_actor_is_terminated_is_interrupted_and_ends_with_the_bytes_of_a_local_one(
    command_of: Start, undisturbed: Callable[..., dict[str, str]]
) -> None:
    expected = undisturbed(*LOCALLY, **SIZES)
    run = command_of("run", "--launcher", "ray", "--slots", "2", **SIZES)
    kill_all_while_it_starts(run)
    ask_an_actor_to_end_and_all_once_another_went_on(run)
    _, *words = shlex.split(interrupt_all(run))
    done = call([*KAGGLE_RAY, *words, *LOCALLY, "--slots", "1"], cwd=run.folder)
    assert done.returncode == 0, done.stderr
    assert run.outcome() == expected
    assert len(list(run.run_dir.glob("trials/*/fold*/attempts/*"))) == NUM_TRIALS, "attempts that came to nothing"
    assert run.checkpoints() == []


def kill_all_while_it_starts(run: RunCommand) -> None:
    process = run.start()
    time.sleep(random.Random(0).uniform(1.0, 8.0))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert wait_for(lambda: not run.processes(), seconds=30), run.processes()


def ask_an_actor_to_end_and_all_once_another_went_on(run: RunCommand) -> None:
    process = run.start()
    assert wait_for(lambda: run.num_epochs_told() > 50)
    assert run.checkpoints() == []
    (actor, *_) = run.actors()
    os.kill(actor, signal.SIGTERM)
    assert wait_for(lambda: run.checkpoints() != [], seconds=10)
    assert wait_for(lambda: run.most_resumed() > 0), "another actor went on from its step"
    assert actor not in run.processes()
    told_before = run.num_epochs_told()
    assert wait_for(lambda: run.num_epochs_told() > told_before + 20)
    os.killpg(process.pid, signal.SIGTERM)
    said = said_at_end(process, 143)
    assert f"stopped by sigterm: {len(run.results())} of {NUM_TRIALS} trials are safe." in said
    assert run.last_event() == "run_interrupted"
    assert run.checkpoints() != []
    assert wait_for(lambda: not run.processes(), seconds=30), run.processes()


def interrupt_all(run: RunCommand) -> str:
    """Let ctrl-c reach all processes, as a terminal does; return the command that goes on."""
    told_before, process = run.num_epochs_told(), run.start()
    assert wait_for(lambda: run.num_epochs_told() > told_before + 20)
    os.killpg(process.pid, signal.SIGINT)
    said = said_at_end(process, 130, within_s=120)
    num_safe = len(run.results())
    assert f"stopped by ctrl-c: {num_safe} of {NUM_TRIALS} trials are safe." in said
    assert 1 <= num_safe < NUM_TRIALS
    assert not (run.run_dir / "submissions/submission.csv").exists()
    assert wait_for(lambda: not run.processes(), seconds=30), run.processes()
    (go_on,) = (line.partition(":")[2] for line in said.splitlines() if line.strip().startswith("go on:"))
    return go_on
