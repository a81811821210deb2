"""How long decisions for labels take at Planet's size, and what they are worth: python tests/benchmarks/decisions.py.

40,479 rows of 17 labels: our thresholds against a grid search, one label after the other; and the set of labels that is
worth most in expectation, of independent labels and as fitted, and the choice between sets and thresholds. Labels are
drawn from the probabilities, so that these are right. What the choice gains over thresholds is told on rows that
nothing was fitted to, of labels as a satellite's chips have them: one weather each, and what lies below it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.decide.expected_f import best_sets
from kaggle_ray.decide.label_sets import fit_label_sets
from kaggle_ray.decide.labels import fit_labels
from kaggle_ray.decide.thresholds import COMMON_GRID, fit_thresholds
from kaggle_ray.metrics import F2
from kaggle_ray.types import BoolArray, FloatArray, Target

NUM_ROWS, NUM_LABELS, NUM_REPEATS = 40_479, 17, 5
NUM_NEW, NUM_POOLS = 4000, 20
WEATHERS = (0.70, 0.18, 0.07, 0.05)
GROUND = (0.92, 0.30, 0.20, 0.18, 0.11, 0.09, 0.05, 0.02, 0.01, 0.01, 0.01, 0.01, 0.01)
"""Shares of the chips that have a label."""


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


def chips(rng: np.random.Generator, num_rows: int, errs: str) -> tuple[Target, FloatArray]:
    """Return labels (N, 17), and probabilities of them whose errors are ``errs``."""
    weather = np.eye(len(WEATHERS))[rng.choice(len(WEATHERS), num_rows, p=WEATHERS)]
    target = np.concatenate([weather, rng.random((num_rows, len(GROUND))) < GROUND], axis=1)
    shares = np.array(WEATHERS + GROUND)
    odds = np.log(shares / (1 - shares)) + 4 * (target - 0.5) + 2 * rng.normal(size=target.shape)
    if errs == "too sure":
        odds *= 2.5
    if errs == "alike in a row":
        odds += rng.normal(0, 1.5, (num_rows, 1))
    return target.astype(np.int64), (1 / (1 + np.exp(-odds))).astype(np.float32)


def gain_on_new_rows(num_rows: int, errs: str) -> tuple[str, str]:
    """Return the F2 of thresholds on new rows, and what the choice gains, with its standard error over the pools."""
    of_thresholds, gains = [], []
    for seed in range(NUM_POOLS):
        target, values = chips(np.random.default_rng(seed), num_rows + NUM_NEW, errs)
        new_target, new = target[num_rows:], values[num_rows:]
        target, values = target[:num_rows], values[:num_rows]
        is_above = (new > np.array(fit_thresholds(F2, target, values))).astype(np.float32)
        of_thresholds.append(F2.score(new_target, is_above))
        gains.append(F2.score(new_target, fit_labels(F2, target, values).apply(new)) - of_thresholds[-1])
    error = np.std(gains, ddof=1) / np.sqrt(NUM_POOLS)
    return f"{np.mean(of_thresholds):.4f}", f"{np.mean(gains):+.4f} \u00b1 {error:.4f}"


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
        ("sets worth most, independent", lambda: best_sets(values, 2.0), NUM_REPEATS),
        ("sets worth most, fitted", lambda: fit_label_sets(target, values).best(values, 2.0), NUM_REPEATS),
        ("the better of the two", lambda: fit_labels(F2, target, values).apply(values) > 0.5, NUM_REPEATS),
    ]
    for name, answer, num_repeats in ways:
        table.add_row(name, *timed(answer, target, num_repeats))
    measured.show(table)
    worth = Table(
        "rows taught", "errors", "F2, thresholds", "gain", title=f"{NUM_POOLS} pools, {NUM_NEW} new rows each"
    )
    for num_rows in (100, 400, 2000):
        for errs in ("independent", "too sure", "alike in a row"):
            worth.add_row(str(num_rows), errs, *gain_on_new_rows(num_rows, errs))
    measured.show(worth)
    measured.leave()


if __name__ == "__main__":
    main()
