from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.reporters.events import Event, RunEnded, RunStarted, TrialEnded
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import EVENTS_FILE
from kaggle_ray.testing.crash import KillPoint, RunProcesses, Survivor
from kaggle_ray.testing.recorder import of_type
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import Trial

pytestmark = pytest.mark.slow

EXPERIMENTS = [{**TINY, "epochs": 1, "lr": 1e-2}, {**TINY, "epochs": 2, "lr": 1e-3}]
NUM_FOLDS = 2
NUM_EPOCHS = NUM_FOLDS * 3


def options(runs: Path, data: Path) -> RunOptions:
    return RunOptions(
        competition=TOY_FILE, experiments=EXPERIMENTS, data=data, runs=runs, run_id="x",
        device="cpu", threads=1, dtype="float32",
    )  # fmt: skip


def run_dir(runs: Path) -> Path:
    return runs / "toy" / "x"


def run_trials(runs: Path) -> list[Trial]:
    experiments = open_run(run_dir(runs)).experiments()
    return [Trial(experiment_id=e.experiment_id, fold=fold) for e in experiments for fold in range(NUM_FOLDS)]


def num_epochs_committed(runs: Path) -> int:
    store = open_run(run_dir(runs))
    return sum(len(result.history) for trial in run_trials(runs) if (result := store.result(trial)))


def ended_trials(events: Sequence[Event]) -> set[Trial]:
    """Return the trials that ended while somebody listened, and those that a resumed run found ended."""
    found = [ended for start in of_type(events, RunStarted) for ended in start.ended]
    return {ended.trial for ended in [*of_type(events, TrialEnded), *found]}


def layout(runs: Path) -> list[str]:
    """Return the files of a run, without the ids of the attempts."""
    attempts = {path.name for path in run_dir(runs).glob("trials/*/*/attempts/*")}
    files = [path.relative_to(runs) for path in run_dir(runs).rglob("*") if path.is_file()]
    return sorted("/".join("attempt" if part in attempts else part for part in file.parts) for file in files)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> RunProcesses:
    return RunProcesses(environment={"KAGGLE_RAY_CACHE": str(tmp_path_factory.mktemp("cache"))})


@pytest.fixture(scope="module")
def undisturbed_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("undisturbed")


@pytest.fixture(scope="module")
def undisturbed(
    processes: RunProcesses, undisturbed_runs: Path, toy_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Survivor:
    processes.run(options(tmp_path_factory.mktemp("first"), toy_data))  # what it decodes, the others find
    survivor = processes.run(options(undisturbed_runs, toy_data))
    assert survivor is not None
    return survivor


def test_an_undisturbed_run_trains_every_epoch_and_its_rerun_none(
    processes: RunProcesses, undisturbed: Survivor, undisturbed_runs: Path, toy_data: Path
) -> None:
    assert undisturbed.submission.startswith(b"id,label\nb000,")
    assert undisturbed.num_epochs_trained == NUM_EPOCHS
    before = layout(undisturbed_runs)
    again = processes.run(options(undisturbed_runs, toy_data))
    assert again is not None
    assert again.submission == undisturbed.submission
    assert again.num_epochs_trained == 0
    assert layout(undisturbed_runs) == before


def test_a_run_killed_at_any_of_its_writes_and_run_again_gives_the_same_bytes_and_trains_nothing_twice(
    processes: RunProcesses, undisturbed: Survivor, undisturbed_runs: Path, toy_data: Path, tmp_path: Path
) -> None:
    last = undisturbed.num_calls
    points = [*(KillPoint(number=number) for number in range(1, last + 1)), KillPoint(number=last, when="after")]
    assert len(points) > 30

    def what_is_wrong(point: KillPoint) -> list[str]:
        runs = tmp_path / f"{point.number}_{point.when}"
        if processes.run(options(runs, toy_data), point=point) is not None:
            return [f"{point} was not reached"]
        left = NUM_EPOCHS - num_epochs_committed(runs)
        rerun = processes.run(options(runs, toy_data))
        assert rerun is not None
        found = []
        if rerun.submission != undisturbed.submission:
            found.append(f"{point}: another submission")
        if rerun.num_epochs_trained != left:
            found.append(f"{point}: expected {left} epochs to be trained, got {rerun.num_epochs_trained}")
        if different := set(layout(runs)) ^ set(layout(undisturbed_runs)):
            found.append(f"{point}: files differ: {sorted(different)}")
        return found

    with ThreadPoolExecutor(2) as pool:
        assert [text for found in pool.map(what_is_wrong, points) for text in found] == []


def test_a_run_killed_in_the_middle_of_a_file_and_run_again_gives_the_same_bytes(
    processes: RunProcesses, undisturbed: Survivor, undisturbed_runs: Path, toy_data: Path, tmp_path: Path
) -> None:
    """An array is written in chunks: its header, then a batch at a time."""
    counted = processes.run(options(tmp_path / "counted", toy_data), point=KillPoint(names=["write"], number=0))
    assert counted is not None
    assert counted.num_calls > undisturbed.num_calls + 2 * NUM_FOLDS * len(EXPERIMENTS)
    for number in range(3, counted.num_calls + 1, 8):
        runs = tmp_path / str(number)
        point = KillPoint(names=["write"], number=number, when="after" if number % 16 == 3 else "before")
        assert processes.run(options(runs, toy_data), point=point) is None, f"{point} was not reached"
        rerun = processes.run(options(runs, toy_data))
        assert rerun is not None
        assert rerun.submission == undisturbed.submission, f"{point}: another submission"
        assert layout(runs) == layout(undisturbed_runs), f"{point}: files differ"


def test_runs_killed_at_twenty_random_moments_give_the_same_bytes_in_the_end(
    undisturbed: Survivor, undisturbed_runs: Path, tmp_path: Path
) -> None:
    """Everything is new in each run: the competition's files are written and images are decoded, too."""
    moments = random.Random(0)
    num_kills, numbers = 0, itertools.count()
    while num_kills < 20:
        folder = tmp_path / str(next(numbers))
        processes = RunProcesses(environment={"KAGGLE_RAY_CACHE": str(folder / "cache")})
        runs, survivor = folder / "runs", None
        while survivor is None:
            kill_after_s = moments.uniform(0.0, 0.5) if num_kills < 20 else None
            survivor = processes.run(options(runs, folder / "data"), kill_after_s=kill_after_s)
            num_kills += survivor is None
        assert survivor.submission == undisturbed.submission
        assert layout(runs) == layout(undisturbed_runs)
        events = [envelope.event for envelope in read_events(FileDiary(run_dir(runs) / EVENTS_FILE))]
        assert isinstance(events[-1], RunEnded)
        assert ended_trials(events) == set(run_trials(runs)), "the diary knows how each trial ended"
