"""How long decisions for labels take at Planet's size, and what they are worth: python tests/benchmarks/decisions.py.

40,479 rows of 17 labels: our thresholds against a grid search, one label after the other; and the set of labels that is
worth most in expectation. Labels are drawn from the probabilities, so that these are right.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.decide.expected_f import best_sets
from kaggle_ray.decide.thresholds import COMMON_GRID, fit_thresholds
from kaggle_ray.metrics import F2
from kaggle_ray.types import BoolArray, FloatArray, Target

NUM_ROWS, NUM_LABELS, NUM_REPEATS = 40_479, 17, 5


def grid_search(target: Target, values: FloatArray) -> BoolArray:
    """Return the answers of one sweep over the labels, each tried at all thresholds of the grid."""
    named = values > F2.default_threshold
    for label in range(NUM_LABELS):
        scores = []
        for cut in COMMON_GRID:
            named[:, label] = values[:, label] > cut
            scores.append(F2.score_fn(target, named.astype(np.float64)))
        named[:, label] = values[:, label] > COMMON_GRID[int(np.argmax(scores))]
    return named


def timed(answer: Callable[[], BoolArray], target: Target, num_repeats: int) -> tuple[str, str, str]:
    """Return the shortest time of several, of this process's CPU and by the clock, and the score on the rows."""
    cpu_s, seconds = [], []
    for _ in range(num_repeats):
        cpu_started, started = time.process_time(), time.perf_counter()
        answers = answer()
        seconds.append(time.perf_counter() - started)
        cpu_s.append(time.process_time() - cpu_started)
    return f"{min(cpu_s):.3f}", f"{min(seconds):.3f}", f"{F2.score(target, answers.astype(np.float32)):.5f}"


@click.command()
@record_options
def main(record: bool, note: str) -> None:
    """Show a row for each way to decide."""
    rng = np.random.default_rng(0)
    probabilities = 1 / (1 + np.exp(-rng.normal(-1.5, 1.5, (NUM_ROWS, NUM_LABELS))))
    target = (rng.random(probabilities.shape) < probabilities).astype(np.int64)
    values = probabilities.astype(np.float32)
    measured = Measured(benchmark="decisions", record=record, note=note)
    table = Table("decision", "CPU s, best", "s, best", "F2 in-sample", title=f"{NUM_ROWS} rows of {NUM_LABELS} labels")
    ways: list[tuple[str, Callable[[], BoolArray], int]] = [
        ("thresholds", lambda: values > np.array(fit_thresholds(F2, target, values)), NUM_REPEATS),
        ("grid search", lambda: grid_search(target, values), 1),
        ("sets worth most", lambda: best_sets(values, 2.0), NUM_REPEATS),
    ]
    for name, answer, num_repeats in ways:
        table.add_row(name, *timed(answer, target, num_repeats))
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
