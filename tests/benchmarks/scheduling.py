"""What it takes the driver to run hundreds and thousands of trials that do next to nothing: does it grow linearly?

    python tests/benchmarks/scheduling.py --trials 60 --trials 120       # minutes
    python tests/benchmarks/scheduling.py                                # 300 and 3,000 trials, on a quiet machine

Each number of trials runs in a driver's process of its own, whose CPU and memory are told: those of the reporters of
a run in a pipe are among it. The ideal is the sum of what the trials took by their own clocks, over the slots.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click
from fake_work import in_own_process, launched, sleeping_plan, tell
from record import Measured, record_options
from rich.console import Console
from rich.table import Table

from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.launch.ray_tune import RayTuneLauncher
from kaggle_ray.pipeline.announce import run_started
from kaggle_ray.reporters import FanOut
from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.reporters.jsonl import JsonlReporter
from kaggle_ray.store.diary import FileDiary

NUM_FOLDS = 5


def run_alone(num_trials: int, slots: int) -> None:
    """Run the trials in this process's name, with the reporters of a run in a pipe; tell what it took."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w") as log:
        plan = sleeping_plan(Path(folder), experiments=num_trials // NUM_FOLDS, seconds=0.0, slots=slots)
        reporters = FanOut(
            [ConsoleReporter(Console(file=log)), JsonlReporter(FileDiary(Path(folder, "events.jsonl")))],
            competition=plan.competition.name,
            run_id=plan.run_id,
        )
        reporters.emit(run_started(plan, plan.experiments, (), command=None))
        tell(launched(RayTuneLauncher(RayPlacement(num_slots=slots)), plan, reporters.emit, num_folds=NUM_FOLDS))
        reporters.close()


@click.command()
@click.option("--trials", "numbers", multiple=True, default=(300, 3000), show_default=True, help="A multiple of 5.")
@click.option("--slots", default=2, show_default=True)
@click.option("--alone", is_flag=True, hidden=True)
@record_options
def main(numbers: tuple[int, ...], slots: int, alone: bool, record: bool, note: str) -> None:
    """Print what each number of trials takes."""
    if alone:
        run_alone(numbers[0], slots)
        return
    table = Table(
        "trials", "wall, s", "before the first, s", "then over the ideal, s a trial", "driver's CPU, ms a trial",
        "driver's peak memory, MiB",
        title=f"{slots} slots", caption=f"load of the machine before: {os.getloadavg()[0]:.1f}",
    )  # fmt: skip
    for number in numbers:
        cost = in_own_process(sys.argv[0], "--trials", str(number), "--slots", str(slots), "--alone")
        table.add_row(
            f"{number:,}",
            f"{cost.wall_s:,.0f}",
            f"{cost.start_s:,.0f}",
            f"{(cost.wall_s - cost.start_s - cost.work_s / slots) / number:.3f}",
            f"{1000 * cost.cpu_s / number:.1f}",
            f"{cost.peak_bytes / 2**20:,.0f}",
        )
    measured = Measured(benchmark="scheduling", record=record, note=note)
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
