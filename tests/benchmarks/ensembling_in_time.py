"""Whether ensembling holds its time at the sizes of real competitions: python tests/benchmarks/ensembling_in_time.py.

Members are made up. Beside how long it took, by the clock and of this process's CPU time, stands how long it was
estimated to take in full.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.combine import AUTO, BUILT_IN, Ensemble, Fits, Kept, TimeLeft, select, select_from
from kaggle_ray.combine.choice import SIMPLE, candidates
from kaggle_ray.combine.in_time import choice_s, nested_s
from kaggle_ray.metrics import AUC, DICE, F2, LOG_LOSS, Metric
from kaggle_ray.pipeline.members_alone import MembersAlone
from kaggle_ray.pool.gather import gather
from kaggle_ray.testing.masks import MaskRun
from kaggle_ray.types import FloatArray


def dense(num_members: int, num_rows: int, num_columns: int, metric: Metric) -> Fits:
    """Return members of differing skill of labels, or of classes where the metric is of such."""
    rng = np.random.default_rng(0)
    of_classes = metric is LOG_LOSS
    target = rng.integers(0, num_columns if of_classes else 2, (num_rows,) if of_classes else (num_rows, num_columns))
    truth = target[:, np.newaxis] == np.arange(num_columns) if of_classes else target > 0
    members: dict[str, FloatArray] = {}
    for number in range(num_members):
        logits = rng.normal(1, 0.2) * (2.0 * truth - 1) + rng.normal(size=truth.shape, scale=2)
        powers = np.exp(logits)
        values = powers / powers.sum(axis=1, keepdims=True) if of_classes else powers / (1 + powers)
        members[f"e{number:02d}"] = values.astype(np.float32)
    target = target[:, 0] if metric is AUC else target
    return Fits(members, target, np.arange(num_rows) % 5, metric)


def alone_of(fits: Fits, name: str) -> Ensemble:
    """Return what one member is worth by itself."""
    return select({name: fits.members[name]}, fits.target, fits.fold_of, fits.metric, "mean", with_error=False)


def masks(folder: Path) -> Fits:
    """Return members of the masks of Carvana's 5,088 images, at 64 x 96."""
    run = MaskRun(num_train=5088, num_test=1, height=64, width=96, num_experiments=20, num_folds=5)
    pool = gather(run.write(folder), run.folds, run.experiments, run.test_ids)
    return Fits(pool.oof, run.target, run.folds.fold_of, DICE)


POOLS: dict[str, Callable[[Path], Fits]] = {
    "labels": lambda folder: dense(50, 40_479, 17, F2),
    "binary": lambda folder: dense(50, 1_000_000, 1, AUC),
    "classes": lambda folder: dense(50, 200_000, 10, LOG_LOSS),
    "masks": masks,
}


@click.command()
@click.option("--pool", "names", multiple=True, type=click.Choice(list(POOLS)), default=tuple(POOLS))
@click.option("--seconds", multiple=True, type=float, default=(60.0,))
@record_options
def main(names: tuple[str, ...], seconds: tuple[float, ...], record: bool, note: str) -> None:
    """Show a row for each pool and time."""
    measured = Measured(benchmark="ensembling_in_time", record=record, note=note)
    table = Table(
        "pool", "in full, estimated, s", "time, s", "took, s", "CPU, s", "members by themselves", "chosen", "left out"
    )
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            fits = POOLS[name](Path(folder))
            first = next(iter(fits.members))
            alone = Fits({first: fits.members[first]}, fits.target, fits.fold_of, fits.metric)
            full_s = len(fits.members) * nested_s(alone, "mean") + sum(
                choice_s(fits, way) for way in (*SIMPLE, *candidates(fits))
            )
            for limit in seconds:
                fresh = Fits(fits.members, fits.target, fits.fold_of, fits.metric)
                started, cpu_started = time.monotonic(), time.process_time()
                time_left = TimeLeft(started + limit)
                members_alone = MembersAlone(list(fits.members), partial(alone_of, fits), time_left)
                kept = Kept({}, code={})
                made = {"mean": select_from(fresh, "mean", kept=kept)}
                members_alone.learn(share=0.5)
                made |= {way: select_from(fresh, way, kept=kept, time_left=time_left) for way in (AUTO, *BUILT_IN)}
                members_alone.learn(share=1.0)
                took_s, cpu_s = time.monotonic() - started, time.process_time() - cpu_started
                num_alone = len(members_alone.known())
                table.add_row(
                    f"{name}: {len(fits.members)} x {' x '.join(map(str, next(iter(fits.members.values())).shape))}",
                    f"{full_s:.0f}", f"{limit:.0f}", f"{took_s:.0f}", f"{cpu_s:.0f}", f"{num_alone}",
                    made[AUTO].combiner, "; ".join(f"{what}: {why}" for what, why in time_left.left_out.items()),
                )  # fmt: skip
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
