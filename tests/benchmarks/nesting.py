"""Experiments x folds of fake work: ours, TorchTrainer nested in Tune, one after another, and a bare pool of processes.

    python tests/benchmarks/nesting.py --experiments 2 --folds 2 --seconds 1        # minutes
    python tests/benchmarks/nesting.py --seconds 1 --seconds 10 --rounds 3          # the whole, on a quiet machine
    python tests/benchmarks/nesting.py --seconds 1 --seconds 10 --processes 2       # trials of two processes each

The ideal is the sum of the work over the slots. Each way runs in a process of its own, start-up included. Work is
sleep: no core is taken. Ours trains, predicts and commits beside it; the other ways do nothing but sleep and report.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from fake_work import Cost, in_own_process, launched, sleeping_plan, spread, tell
from record import Measured, record_options
from rich.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What there is to do."""

    experiments: int
    folds: int
    seconds: float
    slots: int
    processes: int

    @property
    def num_trials(self) -> int:
        """How many trials there are."""
        return self.experiments * self.folds

    @property
    def total_s(self) -> float:
        """The sum of what the trials sleep."""
        return self.num_trials * self.seconds

    @property
    def ideal_s(self) -> float:
        """What it takes where nothing but the work takes time."""
        return self.total_s / self.slots


def ours(work: Work) -> None:
    """Run trials by the launcher of Ray, as a run does."""
    from kaggle_ray.launch.placement import RayPlacement
    from kaggle_ray.launch.ray_tune import RayTuneLauncher

    with tempfile.TemporaryDirectory() as folder:
        plan = sleeping_plan(
            Path(folder), experiments=work.experiments, seconds=work.seconds, slots=work.slots,
            processes=work.processes,
        )  # fmt: skip
        tell(
            launched(
                RayTuneLauncher(RayPlacement(num_slots=work.slots)), plan, lambda event: None, num_folds=work.folds
            )
        )


def nesting(work: Work) -> None:
    """Build a TorchTrainer in each trial of a Tune function, as Ray's documentation shows it."""
    import ray
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    def train_loop(config: dict[str, float]) -> None:
        time.sleep(config["seconds"])
        train.report({"loss": 0.0})

    with tempfile.TemporaryDirectory() as folder:

        def trial(config: dict[str, float]) -> None:
            TorchTrainer(
                train_loop,
                train_loop_config=config,
                scaling_config=train.ScalingConfig(num_workers=work.processes),
                run_config=train.RunConfig(
                    name=f"{config['experiment']}-{config['fold']}",
                    storage_path=folder,
                    callbacks=[TuneReportCallback()],
                ),
            ).fit()

        ray.init(
            address="local",
            num_cpus=work.slots * work.processes,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        # The function itself needs next to nothing, on the head: a share of a core makes a group that never fits.
        resources = tune.PlacementGroupFactory([{"node:__internal_head__": 0.001}])
        results = tune.Tuner(
            tune.with_resources(trial, resources),
            param_space={
                "seconds": work.seconds,
                "experiment": tune.grid_search(list(range(work.experiments))),
                "fold": tune.grid_search(list(range(work.folds))),
            },
            tune_config=tune.TuneConfig(max_concurrent_trials=work.slots),
            run_config=tune.RunConfig(storage_path=folder, name="tune", verbose=0),
        ).fit()
        assert not results.errors, results.errors
        assert len(results) == work.num_trials
        ray.shutdown()


def one_after_another(work: Work) -> None:
    """Sleep for all trials in turn."""
    for _ in range(work.num_trials):
        time.sleep(work.seconds)


def pool(work: Work) -> None:
    """Sleep in a pool of as many processes as there are slots."""
    with multiprocessing.Pool(work.slots) as processes:
        processes.map(time.sleep, [work.seconds] * work.num_trials, chunksize=1)


WAYS: dict[str, Callable[[Work], None]] = {
    "ours": ours,
    "nesting": nesting,
    "one after another": one_after_another,
    "pool": pool,
}


def run_alone(way: str, work: Work) -> None:
    """Do the work in this process, and tell what it took, all imports but Python's own included."""
    started = time.perf_counter()
    WAYS[way](work)
    if way != "ours":  # which tells itself, without the making of its run
        wall_s = time.perf_counter() - started
        tell(Cost(wall_s=wall_s, start_s=0.0, cpu_s=time.process_time(), peak_bytes=0, work_s=work.total_s))


def row_of(way: str, work: Work, costs: list[Cost]) -> list[str]:
    """Return what one way took, as a row of the table."""
    walls = [cost.wall_s for cost in costs]
    return [
        f"{work.seconds:g}",
        way,
        spread(walls, 1),
        spread([wall / work.ideal_s for wall in walls], 2),
        spread([work.slots * (wall - work.ideal_s) / work.num_trials for wall in walls], 2),
    ]


@click.command()
@click.option("--experiments", default=8, show_default=True)
@click.option("--folds", default=5, show_default=True, type=click.IntRange(1, 5))
@click.option("--seconds", multiple=True, default=(1.0, 10.0), show_default=True, help="Work of a trial.")
@click.option("--slots", default=2, show_default=True, help="Trials at once.")
@click.option("--processes", default=1, show_default=True, help="Of a trial.")
@click.option("--rounds", default=1, show_default=True)
@click.option("--way", "ways", multiple=True, default=tuple(WAYS), show_default=True, type=click.Choice(list(WAYS)))
@click.option("--alone", is_flag=True, hidden=True)
@record_options
def main(
    experiments: int, folds: int, seconds: tuple[float, ...], slots: int, processes: int, rounds: int,
    ways: tuple[str, ...], alone: bool, record: bool, note: str,
) -> None:  # fmt: skip
    """Print what each way takes over the ideal."""
    table = Table(
        "work, s", "way", "wall, s", "over the ideal", "overhead of a trial, s of its slot",
        title=f"{experiments} x {folds} trials of {processes} processes, {slots} slots, {rounds} rounds",
        caption=f"median (least to most); load of the machine before: {os.getloadavg()[0]:.1f}",
    )  # fmt: skip
    for of_trial in seconds:
        work = Work(experiments=experiments, folds=folds, seconds=of_trial, slots=slots, processes=processes)
        if alone:
            run_alone(ways[0], work)
            return
        arguments = [
            "--experiments", str(experiments), "--folds", str(folds), "--seconds", str(of_trial),
            "--slots", str(slots), "--processes", str(processes), "--alone", "--way",
        ]  # fmt: skip
        costs: dict[str, list[Cost]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                costs[way].append(in_own_process(sys.argv[0], *arguments, way))
        for way, of_way in costs.items():
            table.add_row(*row_of(way, work, of_way))
    measured = Measured(benchmark="nesting", record=record, note=note)
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
