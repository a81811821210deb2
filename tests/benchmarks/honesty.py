"""Whether the honest score is nearer to the truth than the in-sample one: python tests/benchmarks/honesty.py.

Pools of made-up members are ensembled on few rows, and what they are worth is told by very many others.
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
from kaggle_ray.types import FloatArray, IntArray

NUM_FOLDS = 5
NUM_TRUE_ROWS = 100_000
"""Rows that tell what an ensemble is worth: its score on them is off by a tenth of that on 1,000."""


def rows(
    skills: Mapping[str, float], num_rows: int, rng: np.random.Generator
) -> tuple[dict[str, FloatArray], IntArray]:
    """Return what members of some skills predict of new rows, half of their noise one and the same, and the truth."""
    target, shared = rng.integers(0, 2, num_rows), rng.standard_normal(num_rows, dtype=np.float32)
    members: dict[str, FloatArray] = {}
    for name, skill in skills.items():
        logits = skill * (2 * target - 1) + shared + rng.standard_normal(num_rows, dtype=np.float32)
        members[name] = np.asarray(1 / (1 + np.exp(-logits.astype(np.float32)[:, np.newaxis])), dtype=np.float32)
    return members, target


def scores(num_members: int, num_rows: int, method: str, seed: int) -> tuple[float, float, float]:
    """Return the honest score of one pool's ensemble, the one on the rows that it was fitted on, and the true one."""
    rng = np.random.default_rng((seed, num_rows))
    skills = {f"m{number:03d}": skill for number, skill in enumerate(rng.normal(0.8, 0.15, num_members).tolist())}
    members, target = rows(skills, num_rows, rng)
    made = select(members, target, np.arange(num_rows) % NUM_FOLDS, LOG_LOSS, method, with_error=False)
    assert made.score_honest is not None
    assert made.score_in_sample is not None
    others, truth = rows({name: skills[name] for name in made.weights}, NUM_TRUE_ROWS, rng)
    true = LOG_LOSS.score(truth, made.apply(others)[:])
    return made.score_honest, made.score_in_sample, true


@click.command()
@click.option("--pools", default=200, show_default=True, help="At each number of rows.")
@click.option("--members", default=40, show_default=True)
@click.option("--method", default="greedy", show_default=True)
@record_options
def main(pools: int, members: int, method: str, record: bool, note: str) -> None:
    """Show a row for each number of scored rows; the difference is paired, with its standard error."""
    measured = Measured(benchmark="honesty", record=record, note=note)
    table = Table(
        "rows", "pools", "mean honest - true", "mean in-sample - true", "mean |honest - true|",
        "mean |in-sample - true|", "difference of the last two", "nearer honest", "CPU s",
        title=f"log loss of {method} over {members} members, lower is better",
    )  # fmt: skip
    for num_rows in (500, 2_000, 10_000):
        started = time.process_time()
        found = np.array([scores(members, num_rows, method, seed) for seed in range(pools)])
        honest, in_sample = found[:, 0] - found[:, 2], found[:, 1] - found[:, 2]
        gain = np.abs(in_sample) - np.abs(honest)
        table.add_row(
            f"{num_rows:,}", f"{pools}", f"{honest.mean():+.5f}", f"{in_sample.mean():+.5f}",
            f"{np.abs(honest).mean():.5f}", f"{np.abs(in_sample).mean():.5f}",
            f"{gain.mean():.5f} ± {gain.std(ddof=1) / np.sqrt(pools):.5f}", f"{(gain > 0).mean():.0%}",
            f"{time.process_time() - started:.0f}",
        )  # fmt: skip
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
