"""What the benchmarks of launchers share: runs whose trials sleep, and processes that are timed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import Event, TrialStarted
from kaggle_ray.schedule.source import ListSource
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing import toy
from kaggle_ray.types import JsonValue

COMPETITION = Path(__file__).with_name("sleeping_competition.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a run of trials took from the process that drove it."""

    wall_s: float
    start_s: float
    """Of these, what passed before the first trial began."""
    cpu_s: float
    """CPU of the driver's own process."""
    peak_bytes: int
    """The most memory that the driver's own process had in RAM."""
    work_s: float
    """Sum of what the trials took by their own clocks."""


def sleeping_plan(
    folder: Path, *, experiments: int, seconds: float, epochs: int = 1, slots: int = 2, processes: int = 1
) -> RunPlan:
    """Return the plan of a new run in ``folder`` whose trials sleep, five folds of each experiment."""
    if not (folder / "data").exists():
        toy.write_files(folder / "data")
    base: dict[str, JsonValue] = {
        "model": "sleeper", "model_args": {"seconds": seconds}, "image_size": toy.SIZE, "batch_size": toy.NUM_TRAIN,
        "epochs": epochs,
    }  # fmt: skip
    plan = make_plan(
        RunOptions(
            competition=COMPETITION, experiments=[{**base, "seed": seed} for seed in range(experiments)],
            data=folder / "data", runs=folder / "runs", run_id="x", device="cpu", threads=1, dtype="float32",
            num_slots=slots, processes=processes, ignore_near_duplicates=True,
        )
    )  # fmt: skip
    prepare(plan, None)
    return plan


def launched(launcher: Launcher, plan: RunPlan, emit: Emit, *, num_folds: int) -> Cost:
    """Run the first ``num_folds`` folds of a plan; return what it took.

    Raises:
        AssertionError: a trial did not end well.
    """
    store = open_run(plan.location)
    started, cpu = time.perf_counter(), time.process_time()
    source = ListSource(plan.experiments, num_folds, store.result)
    begun: list[float] = []

    def timed(event: Event) -> None:
        if not begun and isinstance(event, TrialStarted):
            begun.append(time.perf_counter())
        emit(event)

    launcher.run(source, plan.trial_context(), timed)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    assert {result.status for result in source.results} == {"committed"}, source.results
    return Cost(
        wall_s=wall_s,
        start_s=begun[0] - started,
        cpu_s=cpu_s,
        peak_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        work_s=sum(result.duration_s for result in source.results),
    )


def in_own_process(script: str, *arguments: str) -> Cost:
    """Return what ``script`` tells of itself, called anew with ``arguments``: see ``tell``."""
    done = subprocess.run([sys.executable, script, *arguments], env=os.environ, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"{arguments}: its error is above"
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def tell(cost: Cost) -> None:
    """Tell the process that called this one what it took."""
    print(json.dumps(asdict(cost)), flush=True)


def spread(values: list[float], digits: int) -> str:
    """Return the median, and where there are several the least and the greatest."""
    text = f"{median(values):,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
