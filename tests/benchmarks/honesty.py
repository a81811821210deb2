"""Whether the honest score is nearer to the truth than the in-sample one: python tests/benchmarks/honesty.py.

Pools of made-up members are ensembled on few rows, and what they are worth is told by very many others. Which of both
scores is nearer hangs above all on whether the few rows happen to be easy: there the in-sample score is off by more,
and where they are hard by less. Each pool therefore has a mirror, the same one with its noise the other way round: rows
are hard there where they are easy here, and it is a pool like any other. The standard error is that of the mean of such
pairs; beside it stands the one that as many pools without mirrors have.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.combine import select
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.types import Float64Array, FloatArray, IntArray

NUM_FOLDS = 5
NUM_TRUE_ROWS = 100_000
"""Rows that tell what an ensemble is worth: its score on them is off by a tenth of that on 1,000."""


def rows(
    skills: Mapping[str, float], num_rows: int, rng: np.random.Generator, *, sign: float
) -> tuple[dict[str, FloatArray], IntArray]:
    """Return what members of some skills predict of new rows, half of their noise one and the same, and the truth."""
    target, shared = rng.integers(0, 2, num_rows), rng.standard_normal(num_rows, dtype=np.float32)
    members: dict[str, FloatArray] = {}
    for name, skill in skills.items():
        logits = skill * (2 * target - 1) + sign * (shared + rng.standard_normal(num_rows, dtype=np.float32))
        members[name] = np.asarray(1 / (1 + np.exp(-logits.astype(np.float32)[:, np.newaxis])), dtype=np.float32)
    return members, target


def scores(num_members: int, num_rows: int, method: str, seed: int, *, sign: float) -> tuple[float, float, float]:
    """Return the honest score of one pool's ensemble, the one on the rows that it was fitted on, and the true one."""
    rng = np.random.default_rng((seed, num_rows))
    skills = {f"m{number:03d}": skill for number, skill in enumerate(rng.normal(0.8, 0.15, num_members).tolist())}
    members, target = rows(skills, num_rows, rng, sign=sign)
    made = select(members, target, np.arange(num_rows) % NUM_FOLDS, LOG_LOSS, method, with_error=False)
    assert made.score_honest is not None
    assert made.score_in_sample is not None
    others, truth = rows({name: skills[name] for name in made.weights}, NUM_TRUE_ROWS, rng, sign=sign)
    true = LOG_LOSS.score(truth, made.apply(others)[:])
    return made.score_honest, made.score_in_sample, true


@click.command()
@click.option("--pools", default=200, show_default=True, help="At each number of rows, two for each drawn one.")
@click.option("--members", default=40, show_default=True)
@click.option("--method", default="greedy", show_default=True)
@click.option("--rows", "sizes", default=(500, 2_000, 10_000), multiple=True, help="Scored rows.", show_default=True)
@record_options
def main(pools: int, members: int, method: str, sizes: tuple[int, ...], record: bool, note: str) -> None:
    """Show a row for each number of scored rows; differences are paired, with their standard errors."""
    measured = Measured(benchmark="honesty", record=record, note=note)
    table = Table(
        "rows", "pools", "mean honest - true", "mean in-sample - true", "mean |honest - true|",
        "mean |in-sample - true|", "difference of the last two", "without mirrors", "nearer honest", "CPU s",
        title=f"log loss of {method} over {members} members, lower is better",
    )  # fmt: skip
    for num_rows in sizes:
        started = time.process_time()
        found = np.array([
            [scores(members, num_rows, method, seed, sign=sign) for sign in (1, -1)] for seed in range(pools // 2)
        ])  # fmt: skip
        honest, in_sample = found[..., 0] - found[..., 2], found[..., 1] - found[..., 2]
        gain = np.abs(in_sample) - np.abs(honest)
        table.add_row(
            f"{num_rows:,}", f"{gain.size}", f"{honest.mean():+.5f}", f"{in_sample.mean():+.5f}",
            f"{np.abs(honest).mean():.5f}", f"{np.abs(in_sample).mean():.5f}", _mean_of(gain.mean(axis=1)),
            _mean_of(gain.ravel()), f"{(gain > 0).mean():.0%}", f"{time.process_time() - started:.0f}",
        )  # fmt: skip
    measured.show(table)
    measured.leave()


def _mean_of(values: Float64Array) -> str:
    return f"{values.mean():.6f} ± {values.std(ddof=1) / np.sqrt(len(values)):.6f}"


if __name__ == "__main__":
    main()
