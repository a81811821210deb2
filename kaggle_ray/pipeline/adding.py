"""The story of experiments that are added to a run when it is over, and what each is worth beside another one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine import Fits
from kaggle_ray.combine.nested import cross_fitted
from kaggle_ray.data.opening import load_competition
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.datasets import open_target
from kaggle_ray.metrics import Jackknifed, Metric, jackknife
from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.begun_rows import begun_scheme
from kaggle_ray.pipeline.driver import Add, execute
from kaggle_ray.pipeline.options import AdditionOptions, RunOptions
from kaggle_ray.pipeline.own_code import competition_file
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters import Reporter
from kaggle_ray.rows import select_rows
from kaggle_ray.store.opening import is_uri, open_run
from kaggle_ray.store.record import RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Worth:
    """What an experiment is worth beside another one."""

    score_before: float | None
    """Honest score of the other one; None where it has none."""
    score: float | None
    """Honest score of the experiment; None where it has none."""
    gain: float | None
    """How much better ``score`` is than ``score_before``, above 0 where it is."""
    standard_error: float | None
    """Standard error of ``gain`` on the same rows; None where it is not known."""


def execute_adding(
    options: AdditionOptions,
    run: str | Path,
    add: Add,
    *,
    reporters: Sequence[Reporter],
    command: Sequence[str] | None,
) -> RunResult:
    """Add experiments to a run, let them predict, ensemble all that there is now, and submit.

    Args:
        options: how.
        run: folder of the run, or its s3:// URI.
        add: adds the experiments.
        reporters: who is told of the events, beside those of the options.
        command: words that begin a command that goes on with a run; None in a script or notebook.

    Raises:
        StoreError: it is no run.
        ConfigError: the run's code is not known to be one's own, or the run is not at its own place.
        RunMismatchError: the files are not those that the run was begun with.
    """
    store = open_run(run if is_uri(run) else Path(run).absolute())
    record = store.known_record()
    parts = store.location.rsplit("/", 2)
    if len(parts) != 3 or parts[1:] != [record.competition, record.run_id]:
        raise ConfigError(
            f"{store.location}: expected a run at its own place, RUNS/{record.competition}/{record.run_id}: what is "
            f"added to it is found there by the command that began it."
        )
    file = competition_file(store, record, options.competition, cache_dir=default_cache_dir())
    fold_seed = None if options.folds else _fold_seed(record, file)
    return execute(
        RunOptions(
            competition=file,
            data=options.data,
            folds=options.folds,
            fold_seed=fold_seed,
            runs=parts[0],
            run_id=record.run_id,
            launcher=options.launcher,
            num_slots=options.num_slots,
            ensemble=options.ensemble,
            admit_unproven=options.admit_unproven,
            reporters=options.reporters,
        ),
        reporters=reporters,
        command=None if command is None else _goes_on(command, options, file, fold_seed, *parts[::2]),
        add=add,
    )


def _fold_seed(record: RunRecord, file: Path) -> int | None:
    """Return the seed of folds that the run was begun with, None where it is the competition's own or there is none."""
    begun = begun_scheme(record)
    if begun is None or begun.kind in ("given", "time") or begun.seed == load_competition(file)[0].folds.seed:
        return None
    return begun.seed


def _goes_on(
    command: Sequence[str], options: AdditionOptions, file: Path, fold_seed: int | None, runs: str, run_id: str
) -> list[str]:
    """Return the command that goes on with the run where this is cut short: what was added is its own by then."""
    given = {
        "--runs": runs,
        "--run-id": run_id,
        "--data": options.data,
        "--folds": options.folds,
        "--fold-seed": None if fold_seed is None else str(fold_seed),
    }
    return [*command, str(file), *(word for flag, value in given.items() if value for word in (flag, str(value)))]


def worth_of(result: RunResult, found: Sequence[Addition]) -> list[Worth]:
    """Return what each experiment is worth beside the one that it was made of, both scored as the board scores them."""
    plan, pool = result.plan, result.pool
    rows, metric = plan.folds.scored_rows(), plan.competition.metric
    target, _ = open_target(plan.competition, plan.samples, default_cache_dir())
    target, fold_of = select_rows(target, rows), plan.folds.fold_of[rows]
    members = {each: values for each, values in {**pool.oof, **pool.of_seeds}.items() if each not in pool.unproven}
    known: dict[str, Jackknifed] = {}

    def scored(experiment_id: str) -> Jackknifed | None:
        if experiment_id not in known and experiment_id in members:
            fits = Fits({experiment_id: members[experiment_id]}, target, fold_of, metric, forward=plan.folds.forward)
            answers = cross_fitted(fits, partial(fits.blend, "mean"), np.ones(len(rows), dtype=np.bool_)).answers
            known[experiment_id] = jackknife(metric, target, answers, fold_of)
        return known.get(experiment_id)

    def compared(addition: Addition) -> Worth:
        before, after = scored(addition.of.experiment_id), scored(addition.experiment.experiment_id)
        error = math.inf if before is None or after is None else after.standard_error_of_difference(before)
        return Worth(
            score_before=None if before is None else before.score,
            score=None if after is None else after.score,
            gain=None if before is None or after is None else gain_of(before.score, after.score, metric),
            standard_error=error if math.isfinite(error) else None,
        )

    return list(map(compared, found))


def gain_of(before: float, after: float, metric: Metric) -> float:
    """Return how much better ``after`` is than ``before``, above 0 where it is."""
    return after - before if metric.greater_is_better else before - after
