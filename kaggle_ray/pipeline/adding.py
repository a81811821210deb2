"""The story of experiments that are added to a run when it is over, and what each is worth beside another one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine import Fits
from kaggle_ray.combine.nested import cross_fitted
from kaggle_ray.data.opening import load_competition
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.datasets import open_target
from kaggle_ray.metrics import Jackknifed, Metric, jackknife
from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.addition_options import AdditionOptions
from kaggle_ray.pipeline.begun_rows import begun_scheme
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.own_code import competition_file
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.texts import known_score, plain, score_text
from kaggle_ray.rows import select_rows
from kaggle_ray.store.opening import is_uri, open_run
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment, Trial, TrialResult

Find = Callable[[RunPlan, RunStore], Sequence[Addition]]
"""Returns what is to be added to a run, resumed, of this store."""

_TEXTS = ("experiment", "view", "in the soup of folds")
"""Titles of the columns that are no numbers."""


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

    def cells(self) -> tuple[str, str, str, str]:
        """Return what a table has of both scores, of the gain and of its standard error."""
        scores = (known_score(self.score_before), known_score(self.score))
        return (*scores, score_text(self.gain), score_text(self.standard_error))


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """An experiment that was added to a run, beside the one that it is compared with."""

    experiment: Experiment
    name: str
    of: str
    """Name of that one."""
    worth: Worth
    results: tuple[TrialResult | None, ...]
    """How its trials ended, by folds; None where one did not."""


def execute_adding(
    options: AdditionOptions, find: Find, *, reporters: Sequence[Reporter], command: Sequence[str] | None
) -> tuple[RunResult, list[Added]]:
    """Add experiments to a run, let them predict, ensemble all that there is now, and submit.

    Args:
        options: to which run, and how.
        find: finds the experiments.
        reporters: who is told of the events, beside those of the options.
        command: words that begin a command that goes on with a run; None in a script or notebook.

    Returns:
        the run as it is now, and what was added, in the order in which it was found.

    Raises:
        StoreError: it is no run.
        ConfigError: the run's code is not known to be one's own, or the run is not at its own place.
        RunMismatchError: the files are not those that the run was begun with.
    """
    found: list[Addition] = []

    def add(plan: RunPlan, store: RunStore) -> None:
        found.extend(find(plan, store))
        store.add([each.experiment for each in found])

    resumed = _resumed(options)
    goes_on = None if command is None else _goes_on(command, resumed)
    result = execute(resumed, reporters=reporters, command=goes_on, add=add)
    return result, _added(result, found)


def _resumed(options: AdditionOptions) -> RunOptions:
    """Return the options with which the run that is added to goes on."""
    store = open_run(options.run if is_uri(options.run) else Path(options.run).absolute())
    record = store.known_record()
    parts = store.location.rsplit("/", 2)
    if len(parts) != 3 or parts[1:] != [record.competition, record.run_id]:
        raise ConfigError(
            f"{store.location}: expected a run at its own place, RUNS/{record.competition}/{record.run_id}: what is "
            f"added to it is found there by the command that began it."
        )
    file = competition_file(store, record, options.competition, cache_dir=default_cache_dir())
    return RunOptions(
        competition=file,
        data=options.data,
        folds=options.folds,
        fold_seed=None if options.folds else _fold_seed(record, file),
        runs=parts[0],
        run_id=record.run_id,
        launcher=options.launcher,
        num_slots=options.num_slots,
        ensemble=options.ensemble,
        admit_unproven=options.admit_unproven,
        reporters=options.reporters,
    )


def gains_table(*titles: str) -> Table:
    """Return a table of additions without a row; what is no text stands on the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in titles:
        is_number = title not in _TEXTS
        table.add_column(title, overflow="fold", justify="right" if is_number else "left", no_wrap=is_number)
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add a row to the table, of texts that are shown as they are."""
    table.add_row(*map(plain, cells))


def _added(result: RunResult, found: Sequence[Addition]) -> list[Added]:
    names = {each.experiment_id: each.name for each in result.tried}
    store, folds = open_run(result.plan.location), range(result.plan.folds.num_folds)

    def added(addition: Addition, worth: Worth) -> Added:
        made = addition.experiment
        return Added(
            experiment=made,
            name=names[made.experiment_id],
            of=names[addition.of.experiment_id],
            worth=worth,
            results=tuple(store.result(Trial(experiment_id=made.experiment_id, fold=fold)) for fold in folds),
        )

    return list(map(added, found, _worth_of(result, found)))


def _fold_seed(record: RunRecord, file: Path) -> int | None:
    """Return the seed of folds that the run was begun with, None where it is the competition's own or there is none."""
    begun = begun_scheme(record)
    if begun is None or begun.kind in ("given", "time") or begun.seed == load_competition(file)[0].folds.seed:
        return None
    return begun.seed


def _goes_on(command: Sequence[str], resumed: RunOptions) -> list[str]:
    """Return the command that goes on with the run where this is cut short: what was added is its own by then."""
    given = {
        "--runs": resumed.runs,
        "--run-id": resumed.run_id,
        "--data": resumed.data,
        "--folds": resumed.folds,
        "--fold-seed": None if resumed.fold_seed is None else str(resumed.fold_seed),
    }
    words = (word for flag, value in given.items() if value for word in (flag, str(value)))
    return [*command, str(resumed.competition), *words]


def _worth_of(result: RunResult, found: Sequence[Addition]) -> list[Worth]:
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
