"""How long it takes to gather many large experiments, and what it holds: python tests/benchmarks/gathering.py.

Predictions are made up and committed trial by trial, as a run's are; then they are gathered, and the mean of all is
taken, which is the least that ensembling does.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.combine import select
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.pool.gather import gather
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment, Folds, Lineage, StrArray, Trial, TrialResult

NUM_FOLDS = 5


def write(folder: Path, folds: Folds, names: list[str], test_ids: StrArray, num_columns: int) -> RunStore:
    """Commit every trial of a run: probabilities of classes, in another order of the rows in each experiment."""
    store = open_run(folder)
    powers = np.exp(np.random.default_rng(0).normal(size=(len(folds.sample_ids), num_columns)).astype(np.float32))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    lineages = [Lineage(folds_digest=folds.digest, trained_rows=folds.fold_of != fold) for fold in range(NUM_FOLDS)]
    for number, name in enumerate(names):
        predicted = np.roll(probabilities, 1009 * number, axis=0)
        for fold, lineage in enumerate(lineages):
            trial, rows = Trial(experiment_id=name, fold=fold), folds.valid_rows(fold)
            attempt = store.attempt(trial)
            attempt.put_values("valid", iter([predicted[rows]]), num_rows=len(rows))
            attempt.put_values("test", iter([predicted[: len(test_ids)]]), num_rows=len(test_ids))
            attempt.put_manifest(folds.sample_ids[rows], test_ids, lineage)
            attempt.commit(TrialResult(trial=trial, status="committed", attempt_id="", score=2.0))
    return store


@click.command()
@click.option("--experiments", default=50, show_default=True)
@click.option("--rows", "num_rows", default=1_000_000, show_default=True)
@click.option("--test-rows", "num_test", default=100_000, show_default=True)
@click.option("--columns", default=10, show_default=True)
@click.option("--at", type=click.Path(path_type=Path), help="Where the run is kept: one that is there is gathered.")
@record_options
def main(
    experiments: int, num_rows: int, num_test: int, columns: int, at: Path | None, record: bool, note: str
) -> None:
    """Show a row for each step; peak memory is that of a process that gathers alone."""
    folds = Folds(
        sample_ids=np.array([f"a{number:07d}" for number in range(num_rows)]),
        fold_of=(np.arange(num_rows) % NUM_FOLDS).astype(np.int8),
        num_folds=NUM_FOLDS,
        seed=0,
        digest="f" * 12,
    )
    test_ids = np.array([f"b{number:07d}" for number in range(num_test)])
    names = [f"e{number:02d}" for number in range(experiments)]
    target = np.random.default_rng(1).integers(0, columns, num_rows)
    measured = Measured(benchmark="gathering", record=record, note=note)
    table = Table(
        "step", "CPU s", "s", "peak memory, GiB",
        title=f"{experiments} experiments x {num_rows:,} rows x {columns} classes, {num_test:,} test rows, float32",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) if at is None else at
        writer = multiprocessing.get_context("fork").Process(
            target=write, args=(place, folds, names, test_ids, columns)
        )
        if at is None or not at.exists():
            writer.start()
            writer.join()
            assert not writer.exitcode
        made = tuple(Experiment(experiment_id=name, name=name, hyperparameters={"model": name}) for name in names)
        started = time.process_time(), time.perf_counter()

        def show(step: str) -> None:
            nonlocal started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            cpu_s, seconds = time.process_time() - started[0], time.perf_counter() - started[1]
            table.add_row(step, f"{cpu_s:.1f}", f"{seconds:.1f}", f"{peak:.2f}")
            started = time.process_time(), time.perf_counter()

        show("before")
        pool = gather(open_run(place), folds, made, test_ids)
        show("gathered")
        ensemble = select(pool.oof, target, folds.fold_of, LOG_LOSS, "mean", with_error=False)
        show("mean, with its honest score")
        ensemble.apply(pool.test)[:]
        show("its test predictions")
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
