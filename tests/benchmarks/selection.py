"""Greedy selection at size, and beside AutoGluon's and a loop over all means: python tests/benchmarks/selection.py.

AutoGluon is no part of the project: ``uv pip install --no-deps autogluon.core autogluon.common autogluon.features``.
"""

from __future__ import annotations

import dataclasses
import importlib
import resource
import time
from collections.abc import Callable
from importlib.util import find_spec

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.combine.combiner import blend
from kaggle_ray.combine.greedy import greedy_weights
from kaggle_ray.metrics import AUC, LOG_LOSS, Metric
from kaggle_ray.types import Float64Array, FloatArray, IntArray

Select = Callable[[list[FloatArray], IntArray, Metric, int], Float64Array]
"""Returns (M,) weights of members, for the rows, the metric and the number of steps."""


def pool(num_members: int, num_rows: int) -> tuple[list[FloatArray], IntArray]:
    """Return members of differing skill, a third of whose noise is one and the same, and what they predict."""
    rng = np.random.default_rng(0)
    target, shared = rng.integers(0, 2, num_rows), rng.normal(size=num_rows)
    members: list[FloatArray] = []
    for _ in range(num_members):
        logits = rng.normal(1, 0.1) * (2 * target - 1) + 0.6 * shared + rng.normal(size=num_rows)
        members.append((1 / (1 + np.exp(-logits))).astype(np.float32)[:, np.newaxis])
    return members, target


def ours(members: list[FloatArray], target: IntArray, metric: Metric, num_steps: int) -> Float64Array:
    return greedy_weights(members, target, metric, max_steps=num_steps)


def every_mean(members: list[FloatArray], target: IntArray, metric: Metric, num_steps: int) -> Float64Array:
    """Select by scoring each mean: of a score that is not known to be ours."""
    unknown = dataclasses.replace(metric, score_fn=lambda target, values: metric.score_fn(target, values))
    return greedy_weights(members, target, unknown, max_steps=num_steps)


def autogluon(members: list[FloatArray], target: IntArray, metric: Metric, num_steps: int) -> Float64Array:
    library = importlib.import_module("autogluon.core.models.greedy_ensemble.ensemble_selection")
    scorers = importlib.import_module("autogluon.core.metrics")
    scorer = scorers.log_loss if metric is LOG_LOSS else scorers.roc_auc
    selection = library.EnsembleSelection(ensemble_size=num_steps, problem_type="binary", metric=scorer)
    selection.fit([member[:, 0] for member in members], target)
    return np.asarray(selection.weights_)


@click.command()
@click.option("--large/--small", default=True, help="1,000 members of 100,000 rows, or 50 and 200 of 10,000.")
@click.option("--steps", default=50, show_default=True, help="Of the small pools; 25 of the large one.")
@record_options
def main(large: bool, steps: int, record: bool, note: str) -> None:
    """Show a row for each pool, metric and way."""
    measured = Measured(benchmark="selection", record=record, note=note)
    table = Table("pool", "metric", "way", "CPU s", "times ours", "score of the mean", "members", "peak memory, GiB")
    ways: dict[str, Select] = {"ours": ours}
    if not large:
        ways["every mean"] = every_mean
        if find_spec("autogluon") is not None:
            ways["AutoGluon"] = autogluon
    for num_members, num_rows in ((1_000, 100_000),) if large else ((50, 10_000), (200, 10_000)):
        members, target = pool(num_members, num_rows)
        for metric in (LOG_LOSS, AUC):
            seconds: dict[str, float] = {}
            for name, select in ways.items():
                started = time.process_time()
                weights = select(members, target, metric, 25 if large else steps)
                seconds[name] = time.process_time() - started
                score = metric.score(target, blend(members, weights))
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
                table.add_row(
                    f"{num_members:,} x {num_rows:,}", metric.name, name, f"{seconds[name]:.2f}",
                    f"{seconds[name] / seconds['ours']:.1f}", f"{score:.6f}", f"{(weights > 0).sum()}", f"{peak:.1f}",
                )  # fmt: skip
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
