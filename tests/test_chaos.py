"""Whole runs are killed wherever they are, again and again, and end as if nobody had touched them.

KAGGLE_RAY_CHAOS_KILLS is how often in all: ``make chaos`` has 200.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.crash import KillPoint, RunProcesses, Survivor
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue, Trial

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("KAGGLE_RAY_CHAOS_KILLS", "50"))
KILLS_PER_PART = 10
NUM_FOLDS = 2
SECONDS = 0.8
"""About as long as a run takes."""

BASE: dict[str, JsonValue] = {**TINY, "batch_size": 8, "epochs": 4, "lr": 1e-2, "augment": "heavy"}
EXPERIMENTS: list[dict[str, JsonValue]] = [
    {**BASE, "ema_decay": 0.9, "mixup": 0.4, "cutmix": 1.0},
    {**BASE, "optimizer": "sgd", "schedule": "snapshot", "schedule_args": {"num_cycles": 2}, "accumulate": 2},
    {**BASE, "model_args": {"width": 4, "blocks": [1], "dropout": 0.3}, "clip_norm": 0.5},
    {**BASE, "schedule": "constant", "epoch_rule": "inner", "patience": 1, "lr": 0.1, "epochs": 9},
]


def options(folder: Path, data: Path) -> RunOptions:
    return RunOptions(
        competition=TOY_FILE, experiments=EXPERIMENTS, data=data, runs=folder / "runs", run_id="x",
        device="cpu", threads=1, dtype="float32", checkpoint_every_s=0.0,
    )  # fmt: skip


def processes(folder: Path) -> RunProcesses:
    folder.mkdir(exist_ok=True)
    return RunProcesses(environment={"KAGGLE_RAY_CACHE": str(folder / "cache")}, step_log=folder / "steps.log")


def steps(folder: Path) -> list[str]:
    """Return the steps that were begun, in their order."""
    log = folder / "steps.log"
    return log.read_text().splitlines() if log.exists() else []


def files(folder: Path) -> dict[str, bytes]:
    """Return what was trained and what came of it: committed weights and predictions, ensembles, submissions."""
    run_dir = folder / "runs/toy/x"
    store = open_run(run_dir)
    found: dict[str, bytes] = {}
    for experiment in store.experiments():
        for fold in range(NUM_FOLDS):
            result = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
            assert result is not None
            attempts = run_dir / f"trials/{experiment.experiment_id}/fold{fold}/attempts"
            kept = {path.relative_to(attempts).as_posix(): path for path in attempts.rglob("*") if path.is_file()}
            assert kept.keys() == {f"{result.attempt_id}/{name}" for name in result.blobs}
            kept = {name.partition("/")[2]: path for name, path in kept.items()}
            found |= {f"{experiment.name}/{fold}/{name}": path.read_bytes() for name, path in kept.items()}
    for pattern in ("ensembles/*/*.npy", "submissions/*.csv", "trials/**/checkpoint/*", ".tmp/*"):
        found |= {path.relative_to(run_dir).as_posix(): path.read_bytes() for path in run_dir.glob(pattern)}
    return found


class Kills:
    """Draws how a process dies: at a step, at a write, in the middle of a file, at any moment."""

    def __init__(self, seed: int, *, most: int) -> None:
        """Let the next steps or writes, up to ``most`` of them, happen before."""
        self._random = random.Random(seed)
        self._most = most

    def draw(self) -> tuple[KillPoint | None, float | None]:
        """Return where the process kills itself, or after how many seconds it is killed."""
        when: Literal["before", "after"] = "before" if self._random.random() < 0.5 else "after"
        number = self._random.randint(1, self._most)
        kind = self._random.choice(["step", "write", "file", "moment"])
        if kind == "step":
            return KillPoint(owner="kaggle_ray.train.loop:Fit", names=["_step"], number=number, when=when), None
        if kind == "write":
            return KillPoint(number=number, when=when), None
        if kind == "file":
            return KillPoint(names=["write"], number=4 * number, when=when), None
        return None, self._random.uniform(0.0, SECONDS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert processes(folder).run(options(folder, toy_data)) is not None
    assert max(Counter(steps(folder)).values()) == 1
    assert any("epoch2/" in name for name in files(folder)), "ends of snapshot cycles are kept"
    return folder


@pytest.mark.parametrize("part", range(-(-NUM_KILLS // KILLS_PER_PART)))
def test_runs_killed_anywhere_repeat_a_step_at_most_and_end_with_the_same_bits(
    part: int, undisturbed: Path, toy_data: Path, tmp_path: Path
) -> None:
    num_kills, number = 0, 0
    kills = Kills(part, most=len(steps(undisturbed)) // 4)
    while num_kills < KILLS_PER_PART:
        folder = tmp_path / str(number)
        survivor, killed_by = run_to_the_end(folder, toy_data, kills, KILLS_PER_PART - num_kills)
        num_kills, number = num_kills + len(killed_by), number + 1
        assert survivor.submission == (undisturbed / "runs/toy/x/submissions/submission.csv").read_bytes(), killed_by
        expected, got = files(undisturbed), files(folder)
        assert got.keys() == expected.keys(), killed_by
        assert [name for name in expected if got[name] != expected[name]] == [], killed_by
        assert set(steps(folder)) == set(steps(undisturbed)), killed_by


def run_to_the_end(folder: Path, data: Path, kills: Kills, most: int) -> tuple[Survivor, Sequence[object]]:
    """Kill a run up to ``most`` times, and run it again each time; return how it ended, and what killed it."""
    killed_by: list[object] = []
    while True:
        before = steps(folder)
        point, seconds = kills.draw() if len(killed_by) < most else (None, None)
        survivor = processes(folder).run(options(folder, data), point=point, kill_after_s=seconds)
        begun = steps(folder)[len(before) :]
        assert len(set(before) & set(begun)) <= min(1, len(killed_by)), f"{killed_by}: more than a step was repeated"
        assert len(set(begun)) == len(begun)
        if survivor is not None:
            return survivor, killed_by
        killed_by.append(point or seconds)
