"""Whole runs that are asked to end: by a spot machine's notice, ``kill``, ctrl-c."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import EVENTS_FILE
from kaggle_ray.testing.crash import heed_ctrl_c
from kaggle_ray.testing.plain import PLAIN_FILE
from kaggle_ray.types import Trial

pytestmark = pytest.mark.slow

SPACE = """
from kaggle_ray.config import SearchSpace
from kaggle_ray.testing.toy import TINY
SPACE = SearchSpace(base={**TINY, "model": "plain", "model_args": {}, "epochs": 120, "ema_decay": 0.9})
"""
MAIN = """
import sys
from pathlib import Path
from kaggle_ray.cli import main
from kaggle_ray.testing.crash import steps_logged
with steps_logged(Path(sys.argv.pop(1))):
    main()
"""
MARK = "KAGGLE_RAY_TEST_MARK"


@dataclass(frozen=True, slots=True)
class Run:
    """The command of a run, and its processes: those that inherited a marked environment."""

    folder: Path
    data: Path
    arguments: Sequence[str] = ("--launcher", "local")
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self) -> subprocess.Popen[str]:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "space.py").write_text(SPACE)
        command = [
            sys.executable, "-c", MAIN, str(self.folder / "steps.log"), "run", str(PLAIN_FILE),
            "--space", str(self.folder / "space.py"), "--data", str(self.data), "--runs", str(self.folder / "runs"),
            "--run-id", "x", "--threads", "1", "--dtype", "float32", "--device", "cpu", *self.arguments,
        ]  # fmt: skip
        return subprocess.Popen(
            command, env={**os.environ, MARK: self.mark}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=heed_ctrl_c,
        )  # fmt: skip

    def processes(self) -> dict[int, str]:
        found = {}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"{MARK}={self.mark}".encode() in environ.read_bytes():
                    found[int(environ.parent.name)] = (environ.parent / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        return found

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs/toy/x"

    def steps(self) -> list[str]:
        log = self.folder / "steps.log"
        return log.read_text().splitlines() if log.exists() else []

    def num_epochs(self) -> int:
        """Return how many the driver has told of."""
        path = self.run_dir / EVENTS_FILE
        return path.read_text().count('"kind": "epoch_ended"') if path.exists() else 0

    def last_event(self) -> str:
        return read_events(FileDiary(self.run_dir / EVENTS_FILE))[-1].kind

    def outcome(self) -> dict[str, str]:
        """Return the sha256 of all that was trained, and the submission."""
        store = open_run(self.run_dir)
        found = {"submission": (self.run_dir / "submissions/submission.csv").read_text()}
        for experiment in store.experiments():
            for fold in (0, 1):
                result = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
                assert result is not None
                found |= {f"{fold}/{name}": digest for name, digest in result.blobs.items()}
        return found


Start = Callable[..., Run]


@contextmanager
def starting(folder: Path, data: Path) -> Iterator[Start]:
    """Yield what makes runs below a folder; what is left of their processes is killed at the end."""
    runs = []

    def start(name: str, *arguments: str) -> Run:
        runs.append(Run(folder / name, data, arguments))
        return runs[-1]

    yield start
    for run in runs:
        for process_id in run.processes():
            os.kill(process_id, signal.SIGKILL)


@pytest.fixture
def started(tmp_path: Path, toy_data: Path) -> Iterator[Start]:
    with starting(tmp_path, toy_data) as start:
        yield start


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """What becomes of a run that nobody asks to end; the same arguments are run once for all tests."""
    with starting(tmp_path_factory.mktemp("undisturbed"), toy_data) as start:

        @cache
        def outcome_of(*arguments: str) -> dict[str, str]:
            run = start(str(outcome_of.cache_info().misses), *arguments)
            assert run.start().wait(240) == 0
            return run.outcome()

        yield outcome_of


def wait_for(condition: Callable[[], bool], *, seconds: float = 240.0) -> bool:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize(
    ("number", "reason", "code"), [(signal.SIGTERM, "sigterm", 143), (signal.SIGINT, "ctrl-c", 130)]
)
def test_a_run_that_is_asked_to_end_goes_on_from_that_very_step(
    number: int, reason: str, code: int, started: Start, undisturbed: Callable[..., dict[str, str]]
) -> None:
    expected = undisturbed("--launcher", "local")
    run = started("run", "--launcher", "local")
    process = run.start()
    assert wait_for(lambda: len(run.steps()) > 300)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert f"stopped by {reason}: " in said
    assert "go on:" in said
    assert "Traceback" not in said
    assert run.last_event() == "run_interrupted"
    assert len(list(run.run_dir.glob("trials/*/*/checkpoint/*"))) == 1
    assert run.start().wait(240) == 0
    assert max(Counter(run.steps()).values()) == 1, "no step was trained twice"
    assert run.outcome() == expected


def test_two_processes_save_the_step_that_they_are_asked_to_end_in(
    started: Start, undisturbed: Callable[..., dict[str, str]]
) -> None:
    arguments = ("--launcher", "local", "--processes", "2")
    expected = undisturbed(*arguments)
    run = started("run", *arguments)
    process = run.start()
    assert wait_for(lambda: len(run.steps()) > 300)
    assert len(run.processes()) == 2
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert "Traceback" not in said
    assert wait_for(lambda: not run.processes(), seconds=5)
    assert run.start().wait(240) == 0
    assert max(Counter(run.steps()).values()) == 1, "no step was trained twice"
    assert run.outcome() == expected


def test_a_killed_process_leaves_none_behind_that_trained_with_it(started: Start) -> None:
    run = started("run", "--launcher", "local", "--processes", "2")
    process = run.start()
    assert wait_for(lambda: len(run.steps()) > 50)
    assert len(run.processes()) == 2
    process.kill()
    assert wait_for(lambda: not run.processes(), seconds=5)
    process.communicate()


LONGER = ("--set", "epochs=400")
ON_RAY = (*LONGER, "--launcher", "ray", "--slots", "2")
LOCALLY = (*LONGER, "--launcher", "local")


def actors(run: Run) -> list[int]:
    """Return the processes that train; they are called by what they do, by what they are, or by their trial."""
    names = ("ray::ResourceTrainable.train", "ray::FoldTrial", "ray::plain")
    return [process_id for process_id, line in run.processes().items() if line.startswith(names)]


def num_resumed(run: Run) -> list[int]:
    store = open_run(run.run_dir)
    trials = [Trial(experiment_id=e.experiment_id, fold=fold) for e in store.experiments() for fold in (0, 1)]
    return [result.num_resumed for trial in trials if (result := store.result(trial))]


@pytest.mark.ray
def test_an_actor_that_is_asked_to_end_saves_its_step_and_another_goes_on_from_it(
    started: Start, undisturbed: Callable[..., dict[str, str]]
) -> None:
    expected = undisturbed(*LOCALLY)
    run = started("run", *ON_RAY)
    process = run.start()
    assert wait_for(lambda: run.num_epochs() > 150)
    assert list(run.run_dir.glob("trials/*/*/checkpoint/*")) == []
    (actor, *_) = actors(run)
    os.kill(actor, signal.SIGTERM)
    assert wait_for(lambda: list(run.run_dir.glob("trials/*/*/checkpoint/*")) != [], seconds=5)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert max(num_resumed(run)) > 0
    assert actor not in run.processes()
    assert run.outcome() == expected


@pytest.mark.ray
def test_a_driver_of_actors_that_is_asked_to_end_lets_each_save_its_step_and_leaves_none_of_them(
    started: Start, undisturbed: Callable[..., dict[str, str]]
) -> None:
    expected = undisturbed(*LOCALLY)
    run = started("run", *ON_RAY)
    process = run.start()
    assert wait_for(lambda: run.num_epochs() > 150)
    assert list(run.run_dir.glob("trials/*/*/checkpoint/*")) == []
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert "stopped by sigterm: " in said
    assert run.last_event() == "run_interrupted"
    assert wait_for(lambda: not run.processes(), seconds=15)
    assert list(run.run_dir.glob("trials/*/*/checkpoint/*")) != []
    assert dataclasses.replace(run, arguments=LOCALLY).start().wait(240) == 0
    assert max(num_resumed(run)) > 0
    assert run.outcome() == expected
