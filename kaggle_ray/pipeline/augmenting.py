"""The story of test-time augmentation afterwards: what a run has trained predicts once more, and is ensembled with it.

The experiments that come of it are the run's own from then on, as if they had been asked for when it was begun, and
their bits are the same.

Shape legend: S scored rows, C columns of a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine import Fits
from kaggle_ray.combine.nested import cross_fitted
from kaggle_ray.errors import ConfigError, NothingToSubmitError
from kaggle_ray.images.datasets import open_target
from kaggle_ray.metrics import Jackknifed, Metric, jackknife
from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import AugmentOptions, RunOptions
from kaggle_ray.pipeline.own_code import competition_file
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.texts import known_score, plain, score_text
from kaggle_ray.rows import select_rows
from kaggle_ray.store.opening import is_uri, open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Trial, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewGain:
    """What one view of test-time augmentation is worth, by the folds."""

    view: str
    """The view in words, such as ``mirrored``."""
    alone: float
    """Mean over the folds of the score of this view alone."""
    gain: float
    """Mean over the folds of how much better the mean over all views is than that without this one."""
    standard_error: float | None
    """Standard error of ``gain``, from its spread over the folds; None of one fold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmented:
    """An experiment with test-time augmentation, beside the one that it is otherwise the same as."""

    name: str
    of: str
    """Name of that one."""
    score_before: float | None
    """Honest score of that one; None where it has none."""
    score: float | None
    """Honest score of the experiment; None where it has none."""
    gain: float | None
    """How much better ``score`` is than ``score_before``, above 0 where it is."""
    standard_error: float | None
    """Standard error of ``gain`` on the same rows; None where it is not known."""
    views: tuple[ViewGain, ...]
    """What each view is worth; empty without an honest score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentedRun:
    """What came of test-time augmentation afterwards."""

    result: RunResult
    """The run as it is now: ensembles, submission and report are made anew."""
    experiments: tuple[Augmented, ...]
    left_out: Mapping[str, str]
    """Experiment -> why it does not predict once more."""

    def table(self) -> RenderableType:
        """Return the experiments with their gains, the views of each, and what was left out."""
        of_experiments = _table(("experiment", "before", "after", "gain", "±"))
        of_views = _table(("experiment", "view", "alone", "adds", "±"))
        for each in self.experiments:
            scores = (known_score(each.score_before), known_score(each.score))
            of_experiments.add_row(
                *map(plain, (each.name, *scores, score_text(each.gain), score_text(each.standard_error)))
            )
            for view in each.views:
                gains = (view.alone, view.gain, view.standard_error)
                of_views.add_row(*map(plain, (each.name, view.view, *map(score_text, gains))))
        left_out = [plain(f"left out: {name}: {why}.") for name, why in self.left_out.items()]
        return Group(of_experiments, *([of_views] if of_views.row_count else []), *left_out)


def _table(titles: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, title in enumerate(titles):
        is_number = number >= len(titles) - 3
        table.add_column(title, overflow="fold", justify="right" if is_number else "left", no_wrap=is_number)
    return table


def augment_run(
    options: AugmentOptions, *, reporters: Sequence[Reporter] = (), command: Sequence[str] | None = None
) -> AugmentedRun:
    """Predict with what a run has trained once more, with test-time augmentation; ensemble it, and submit.

    Called again, it goes on where it was. What cannot be done is named, and the rest is done.

    Args:
        options: of which run, and how.
        reporters: who is told of the events, beside those of the options.
        command: words that begin a command that goes on with a run; None in a script or notebook.

    Raises:
        StoreError: it is no run, or has no such experiment.
        ConfigError: the run's code is not known to be one's own, or the augmentation does not go with its competition.
        RunMismatchError: the files are not those that the run was begun with.
        NothingToSubmitError: nothing is left that could be done.
    """
    store = open_run(options.run if is_uri(options.run) else Path(options.run).absolute())
    record = store.known_record()
    parts = store.location.rsplit("/", 2)
    if len(parts) != 3 or parts[1:] != [record.competition, record.run_id]:
        raise ConfigError(
            f"{store.location}: expected a run at its own place, RUNS/{record.competition}/{record.run_id}: what is "
            f"added to it is found there by the command that began it."
        )
    file = competition_file(store, record, options.competition, cache_dir=default_cache_dir())
    asked = _Asked(options)
    result = execute(
        RunOptions(
            competition=file,
            data=options.data,
            folds=options.folds,
            runs=parts[0],
            run_id=record.run_id,
            launcher=options.launcher,
            num_slots=options.num_slots,
            ensemble=options.ensemble,
            admit_unproven=options.admit_unproven,
            reporters=options.reporters,
        ),
        reporters=reporters,
        command=None if command is None else _goes_on(command, options, file, runs=parts[0], run_id=record.run_id),
        add=asked.add,
    )
    return AugmentedRun(result=result, experiments=_gains(result, asked.found), left_out=asked.left_out)


def _goes_on(command: Sequence[str], options: AugmentOptions, file: Path, *, runs: str, run_id: str) -> list[str]:
    """Return the command that goes on with the run where this is cut short: what was added is its own by then."""
    given = {"--runs": runs, "--run-id": run_id, "--data": options.data, "--folds": options.folds}
    return [*command, str(file), *(word for flag, value in given.items() if value for word in (flag, str(value)))]


class _Asked:
    """What a person asks to be added, and what came of it."""

    def __init__(self, options: AugmentOptions) -> None:
        self._options = options
        self.found: Sequence[Addition] = ()
        self.left_out: Mapping[str, str] = {}

    def add(self, plan: RunPlan, store: RunStore) -> None:
        """Add the experiments to the run. Raise NothingToSubmitError where there is none."""
        from kaggle_ray.pipeline.additions import additions  # with torch, which knows the models

        added = {each.experiment_id for each in store.added()}
        names = self._options.experiments
        wanted = (
            [each for each in store.experiments() if each.experiment_id not in added]
            if not names
            else [find_experiment(store, name) for name in names]
        )
        self.found, self.left_out = additions(plan, store, wanted, self._options.tta)
        if not self.found:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.left_out.items())
            raise NothingToSubmitError(f"{store.location}: nothing predicts once more: {reasons or 'it has nothing'}.")
        store.add([each.experiment for each in self.found])


def _gains(result: RunResult, found: Sequence[Addition]) -> tuple[Augmented, ...]:
    """Return what each experiment is worth beside the one that it was made of, both scored as the board scores them."""
    plan, pool, store = result.plan, result.pool, open_run(result.plan.location)
    rows, metric = plan.folds.scored_rows(), plan.competition.metric
    target, _ = open_target(plan.competition, plan.samples, default_cache_dir())
    target, fold_of = select_rows(target, rows), plan.folds.fold_of[rows]
    members = {each: values for each, values in {**pool.oof, **pool.of_seeds}.items() if each not in pool.unproven}
    names = {each.experiment_id: each.name for each in result.tried}
    known: dict[str, Jackknifed] = {}

    def scored(experiment_id: str) -> Jackknifed | None:
        if experiment_id not in known and experiment_id in members:
            fits = Fits({experiment_id: members[experiment_id]}, target, fold_of, metric, forward=plan.folds.forward)
            answers = cross_fitted(fits, partial(fits.blend, "mean"), np.ones(len(rows), dtype=np.bool_)).answers
            known[experiment_id] = jackknife(metric, target, answers, fold_of)
        return known.get(experiment_id)

    def compared(addition: Addition) -> Augmented:
        of, made = addition.of.experiment_id, addition.experiment.experiment_id
        before, after = scored(of), scored(made)
        error = math.inf if before is None or after is None else after.standard_error_of_difference(before)
        of_folds = (store.result(Trial(experiment_id=made, fold=fold)) for fold in range(plan.folds.num_folds))
        return Augmented(
            name=names[made],
            of=names[of],
            score_before=None if before is None else before.score,
            score=None if after is None else after.score,
            gain=None if before is None or after is None else _gain(before.score, after.score, metric),
            standard_error=error if math.isfinite(error) else None,
            views=_views([each for each in of_folds if each is not None], metric),
        )

    return tuple(map(compared, found))


def _gain(before: float, after: float, metric: Metric) -> float:
    return after - before if metric.greater_is_better else before - after


def _views(results: Sequence[TrialResult], metric: Metric) -> tuple[ViewGain, ...]:
    """Return what each view is worth, of the folds' results; nothing where one of them has no score."""
    if not results or not all(result.views and result.score is not None for result in results):
        return ()
    found: list[ViewGain] = []
    for number, view in enumerate(results[0].views):
        gains = [_gain(of.views[number].without, of.score, metric) for of in results if of.score is not None]
        error = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else None
        alone = fmean(result.views[number].alone for result in results)
        found.append(ViewGain(view=view.view, alone=alone, gain=fmean(gains), standard_error=error))
    return tuple(found)
