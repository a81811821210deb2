"""What a race saves and what it costs the ensemble, replayed from recorded curves (see ``racing_curves.py``).

    python tests/benchmarks/racing.py              # minutes
    python tests/benchmarks/racing.py --pools 3    # a look

A pool is 16 to 20 of a half's experiments, drawn by chance, and half of the rows of each fold, drawn anew. On these
rows the policies decide and the ensemble is weighted; on the other rows it is scored, and so is the best single
experiment of the whole pool, chosen on the same rows as the weights. The gain of an ensemble is how much better it
scores. Chance and ASHA get as many fold-epochs as the race took of the same pool.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from racing_curves import CURVES, HALVES
from racing_replay import METRIC, Curves, RecordedOutOfFold, Replayed, by_asha, by_chance, full_run, halves_of, replayed
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.combine.combiner import blend
from kaggle_ray.combine.greedy import greedy_weights
from kaggle_ray.schedule.policy import Policy
from kaggle_ray.schedule.race import Forgiving, Race
from kaggle_ray.types import Float64Array

SMALLEST, LARGEST = 16, 20
NUM_DRAWS = 20
"""Times that chance is tried on each pool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a way to save work made of one pool."""

    fold_epochs: float
    """Share of those of the full run."""
    num_complete: float
    gain: float
    """Of its ensemble over the best single experiment of the whole pool, in the metric's units."""


def race_of(curves: Curves, *, num_resamples: int) -> Policy:
    """Return the policy ``race`` of some curves."""
    return Race(RecordedOutOfFold(curves), METRIC, num_folds=curves.num_folds, num_resamples=num_resamples)


def forgiving_of(curves: Curves) -> Policy:
    """Return the policy ``forgiving`` of some curves."""
    return Forgiving(METRIC, num_folds=curves.num_folds)


def outcomes(pool: int, *, half: str, path: Path, num_resamples: int) -> dict[str, Outcome]:
    """Return what each way made of the pool of this number."""
    curves, rng = Curves.of_half(half, path), np.random.default_rng([pool, HALVES.index(half)])
    size = rng.integers(SMALLEST, LARGEST + 1)
    curves = curves.of(rng.permutation(len(curves.scores))[:size])
    decide, score = (curves.on(rows) for rows in halves_of(curves, rng))
    raced = replayed(decide, partial(race_of, num_resamples=num_resamples))
    found = {
        "all": full_run(decide),
        "race": raced,
        "forgiving": replayed(decide, forgiving_of),
        **{
            f"ASHA on one fold, 1/{factor}": by_asha(decide, raced.fold_epochs, reduction_factor=factor)
            for factor in (2, 4)
        },
    }
    by_draws = [_outcome(by_chance(decide, raced.fold_epochs, rng), decide, score) for _ in range(NUM_DRAWS)]
    return {way: _outcome(each, decide, score) for way, each in found.items()} | {"chance": _mean(by_draws)}


def _outcome(way: Replayed, decide: Curves, score: Curves) -> Outcome:
    singles = [METRIC.score(decide.target, each) for each in decide.oof]
    best = METRIC.score(score.target, score.oof[int(np.argmin(singles))])
    weights = greedy_weights(list(decide.oof[way.complete]), decide.target, METRIC)
    ensemble = METRIC.score(score.target, blend(list(score.oof[way.complete]), weights))
    return Outcome(
        fold_epochs=way.fold_epochs / decide.fold_epochs, num_complete=len(way.complete), gain=best - ensemble
    )


def _mean(of: list[Outcome]) -> Outcome:
    return Outcome(
        fold_epochs=float(np.mean([each.fold_epochs for each in of])),
        num_complete=float(np.mean([each.num_complete for each in of])),
        gain=float(np.mean([each.gain for each in of])),
    )


def table_of(half: str, of_ways: Mapping[str, list[Outcome]]) -> Table:
    """Return a line for each way: means over the pools, and how sure they are."""
    of_all = np.array([each.gain for each in of_ways["all"]])
    table = Table(
        "policy", "fold-epochs, %", "complete", "gain", "kept, %", "90 % interval", "beaten by race, % of pools",
        title=f"{half}: {len(of_all)} pools of {SMALLEST} to {LARGEST} experiments",
        caption=f"gain: {METRIC.name} of the best single experiment less that of the ensemble, on rows that decided "
        f"nothing; kept: mean gain over that of the full run; interval: of resampled pools",
    )  # fmt: skip
    race = np.array([each.gain for each in of_ways["race"]])
    for way, of in of_ways.items():
        mean, gains = _mean(of), np.array([each.gain for each in of])
        low, high = _interval(gains, of_all)
        table.add_row(
            way,
            f"{mean.fold_epochs:.1%}",
            f"{mean.num_complete:.1f}",
            f"{mean.gain:.4f}",
            f"{mean.gain / of_all.mean():.0%}",
            f"{low:.0%} to {high:.0%}",
            f"{np.mean(race > gains):.0%}",
        )
    return table


def _interval(gains: Float64Array, of_all: Float64Array) -> tuple[float, float]:
    """Return where 90 % of the ratios of the mean gains lie when the pools are drawn anew."""
    rng = np.random.default_rng(0)
    samples = [rng.integers(len(gains), size=len(gains)) for _ in range(1000)]
    low, high = np.quantile([gains[pools].mean() / of_all[pools].mean() for pools in samples], [0.05, 0.95])
    return float(low), float(high)


@click.command()
@click.option("--curves", default=CURVES, type=click.Path(path_type=Path, exists=True), show_default=True)
@click.option("--half", "halves", type=click.Choice(HALVES), multiple=True, default=HALVES, show_default=True)
@click.option("--pools", default=30, show_default=True, help="Number of pools of each half.")
@click.option("--resamples", default=200, show_default=True, help="Resamples of the race; a run takes 200.")
@click.option("--processes", default=2, show_default=True)
@record_options
def main(
    curves: Path, halves: tuple[str, ...], pools: int, resamples: int, processes: int, record: bool, note: str
) -> None:
    """Print what each policy takes and keeps, of both halves."""
    measured = Measured(benchmark="racing", record=record, note=note)
    for half in halves:
        of_ways: dict[str, list[Outcome]] = defaultdict(list)
        for of_pool in _map(partial(outcomes, half=half, path=curves, num_resamples=resamples), pools, processes):
            for way, outcome in of_pool.items():
                of_ways[way].append(outcome)
        measured.show(table_of(half, of_ways))
    measured.leave()


def _map(function: partial[dict[str, Outcome]], number: int, processes: int) -> Iterator[dict[str, Outcome]]:
    with ProcessPoolExecutor(processes) as executor:
        yield from executor.map(function, range(number))


if __name__ == "__main__":
    main()
