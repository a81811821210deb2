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
from itertools import islice

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.combine.combiner import blend
from kaggle_ray.combine.greedy import selection_path
from kaggle_ray.metrics import AUC, LOG_LOSS, Metric
from kaggle_ray.types import FloatArray, IntArray

Select = Callable[[list[FloatArray], IntArray, Metric, int], list[int]]
"""Returns the members that are added one after the other, for the rows, the metric and the number of steps."""


def pool(num_members: int, num_rows: int) -> tuple[list[FloatArray], IntArray]:
    """Return members of differing skill, a third of whose noise is one and the same, and what they predict."""
    rng = np.random.default_rng(0)
    target, shared = rng.integers(0, 2, num_rows), rng.normal(size=num_rows)
    members: list[FloatArray] = []
    for _ in range(num_members):
        logits = rng.normal(1, 0.1) * (2 * target - 1) + 0.6 * shared + rng.normal(size=num_rows)
        members.append((1 / (1 + np.exp(-logits))).astype(np.float32)[:, np.newaxis])
    return members, target


def ours(members: list[FloatArray], target: IntArray, metric: Metric, num_steps: int) -> list[int]:
    return [index for index, _ in islice(selection_path(members, target, metric), num_steps)]


def every_mean(members: list[FloatArray], target: IntArray, metric: Metric, num_steps: int) -> list[int]:
    """Select by scoring each mean: of a score that is not known to be ours."""
    unknown = dataclasses.replace(metric, score_fn=lambda target, values: metric.score_fn(target, values))
    return ours(members, target, unknown, num_steps)


def autogluon(members: list[FloatArray], target: IntArray, metric: Metric, num_steps: int) -> list[int]:
    """Select as AutoGluon does: it rounds scores to six decimals, and chooses among equals by chance."""
    library = importlib.import_module("autogluon.core.models.greedy_ensemble.ensemble_selection")
    scorers = importlib.import_module("autogluon.core.metrics")
    scorer = scorers.log_loss if metric is LOG_LOSS else scorers.roc_auc
    selection = library.EnsembleSelection(ensemble_size=num_steps, problem_type="binary", metric=scorer)
    selection.use_best = False  # all that was added, rather than the best prefix of it
    selection.fit([member[:, 0] for member in members], target)
    return [int(index) for index in selection.indices_]


def num_same(picks: list[int], others: list[int]) -> int:
    """Return how many picks are the same before the first that is not."""
    return next((step for step, (a, b) in enumerate(zip(picks, others, strict=True)) if a != b), len(picks))


def best_score(picks: list[int], members: list[FloatArray], target: IntArray, metric: Metric) -> float:
    """Return the score of the best prefix: what would be submitted."""
    best = float("nan")
    counts = np.zeros(len(members))
    for number, pick in enumerate(picks):
        counts[pick] += 1
        score = metric.score(target, blend(members, counts / counts.sum()))
        best = score if not number or metric.is_better(score, best) else best
    return best


@click.command()
@click.option("--large/--small", default=True, help="1,000 members of 100,000 rows, or 50 and 200 of 10,000.")
@click.option("--steps", default=50, show_default=True, help="Of the small pools; 25 of the large one.")
@click.option("--repeats", default=3, show_default=True, help="Of each way; the shortest time counts.")
@record_options
def main(large: bool, steps: int, repeats: int, record: bool, note: str) -> None:
    """Show a row for each pool, metric and way."""
    measured = Measured(benchmark="selection", record=record, note=note)
    table = Table(
        "pool", "metric", "way", "CPU s, best", "times ours", "first picks as ours", "score of the best mean",
        "score at the last step", "members", "peak memory, GiB",
    )  # fmt: skip
    ways: dict[str, Select] = {"ours": ours}
    if not large:
        ways["every mean"] = every_mean
        if find_spec("autogluon") is not None:
            ways["AutoGluon"] = autogluon
    for num_members, num_rows in ((1_000, 100_000),) if large else ((50, 10_000), (200, 10_000)):
        members, target = pool(num_members, num_rows)
        for metric in (LOG_LOSS, AUC):
            seconds: dict[str, float] = {}
            picks: dict[str, list[int]] = {}
            for _ in range(repeats):  # one way after the other, so that other work on the machine is with them all
                for name, select in ways.items():
                    started = time.process_time()
                    picks[name] = select(members, target, metric, 25 if large else steps)
                    seconds[name] = min(seconds.get(name, np.inf), time.process_time() - started)
            for name, of_way in picks.items():
                weights = np.bincount(of_way, minlength=num_members) / len(of_way)
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
                table.add_row(
                    f"{num_members:,} x {num_rows:,}", metric.name, name, f"{seconds[name]:.3f}",
                    f"{seconds[name] / seconds['ours']:.1f}", f"{num_same(of_way, picks['ours'])} of {len(of_way)}",
                    f"{best_score(of_way, members, target, metric):.7f}",
                    f"{metric.score(target, blend(members, weights)):.7f}", f"{(weights > 0).sum()}", f"{peak:.1f}",
                )  # fmt: skip
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
