"""The command of a run, with all processes that it starts, for tests that signal some of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import EVENTS_FILE, RunStore
from kaggle_ray.testing.crash import heed_ctrl_c
from kaggle_ray.testing.plain import PLAIN_FILE
from kaggle_ray.types import Trial, TrialResult

_SPACE = """
from kaggle_ray.config import SearchSpace
from kaggle_ray.testing.toy import TINY
SPACE = SearchSpace(
    base={{**TINY, "model": "plain", "model_args": {{}}, "epochs": {epochs}, "ema_decay": 0.9}},
    grid={{"lr": {rates}}},
)
"""
_MAIN = """
import sys
from pathlib import Path
from kaggle_ray.cli import main
from kaggle_ray.testing.crash import steps_logged
with steps_logged(Path(sys.argv.pop(1))):
    main()
"""
_MARK = "KAGGLE_RAY_TEST_MARK"


@dataclass(frozen=True, slots=True)
class RunCommand:
    """The command of a run of the toy competition; its processes inherit an environment that is marked."""

    folder: Path
    data: Path
    arguments: Sequence[str] = ("--launcher", "local")
    num_epochs: int = 120
    num_experiments: int = 1
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def run_dir(self) -> Path:
        """The run's folder."""
        return self.folder / "runs/toy/x"

    def words(self) -> list[str]:
        """Return the command's words; it logs each step that this very process trains."""
        self.folder.mkdir(exist_ok=True)
        space = self.folder / "space.py"
        rates = [0.001 * number for number in range(1, self.num_experiments + 1)]
        space.write_text(_SPACE.format(epochs=self.num_epochs, rates=rates))
        return [
            sys.executable, "-c", _MAIN, str(self.folder / "steps.log"), "run", str(PLAIN_FILE),
            "--space", str(space), "--data", str(self.data), "--runs", str(self.folder / "runs"),
            "--run-id", "x", "--threads", "1", "--dtype", "float32", "--device", "cpu", *self.arguments,
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[str]:
        """Start it in a process group of its own, with its output piped."""
        return subprocess.Popen(
            self.words(), env={**os.environ, _MARK: self.mark}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=heed_ctrl_c,
        )  # fmt: skip

    def processes(self) -> dict[int, str]:
        """Return the ids and command lines of all its processes that there are."""
        found = {}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"{_MARK}={self.mark}".encode() in environ.read_bytes():
                    found[int(environ.parent.name)] = (environ.parent / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        return found

    def actors(self) -> list[int]:
        """Return the processes of Ray that train; they are called by what they do, by what they are, or by their trial.

        Their titles change while they work.
        """
        names = ("ray::ResourceTrainable.train", "ray::FoldTrial", "ray::plain")
        return [process_id for process_id, line in self.processes().items() if line.startswith(names)]

    def steps(self) -> list[str]:
        """Return the steps that were logged."""
        log = self.folder / "steps.log"
        return log.read_text().splitlines() if log.exists() else []

    def num_epochs_told(self) -> int:
        """Return how many epochs the driver has told of."""
        path = self.run_dir / EVENTS_FILE
        return path.read_text().count('"kind": "epoch_ended"') if path.exists() else 0

    def last_event(self) -> str:
        """Return the kind of the last event that the driver has told of."""
        return read_events(FileDiary(self.run_dir / EVENTS_FILE))[-1].kind

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints of trials that have not ended."""
        return list(self.run_dir.glob("trials/*/*/checkpoint/*"))

    def results(self) -> list[TrialResult]:
        """Return the results of the trials that have ended."""
        if not (self.run_dir / "run.json").exists():
            return []
        store = open_run(self.run_dir)
        return [result for trial in _trials(store) if (result := store.result(trial)) is not None]

    def most_resumed(self) -> int:
        """Return how many epochs a trial that has ended had behind it when it was begun last, at the most."""
        return max((result.num_resumed for result in self.results()), default=0)

    def outcome(self) -> dict[str, str]:
        """Return the sha256 of all that was trained, and the submission."""
        store = open_run(self.run_dir)
        found = {"submission": (self.run_dir / "submissions/submission.csv").read_text()}
        for trial in _trials(store):
            result = store.result(trial)
            assert result is not None, f"{trial} has not ended"
            found |= {f"{trial}/{name}": digest for name, digest in result.blobs.items()}
        return found


def _trials(store: RunStore) -> list[Trial]:
    return [
        Trial(experiment_id=experiment.experiment_id, fold=fold)
        for experiment in store.experiments()
        for fold in (0, 1)
    ]


@contextmanager
def processes_ended(*commands: RunCommand) -> Iterator[None]:
    """Kill at the end of the context what is left of the commands' processes."""
    try:
        yield
    finally:
        for command in commands:
            for process_id in command.processes():
                os.kill(process_id, signal.SIGKILL)


def wait_for(condition: Callable[[], bool], *, seconds: float = 240.0) -> bool:
    """Return whether a condition holds within some time."""
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    return condition()
