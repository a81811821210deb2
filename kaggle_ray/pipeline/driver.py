"""The story of a run: from a competition and its experiments to a verified submission."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kaggle_ray.counted import counted
from kaggle_ray.data.opening import load_competition
from kaggle_ray.errors import NothingToSubmitError, TrialError
from kaggle_ray.pipeline.added import added_source, over_already
from kaggle_ray.pipeline.announce import (
    announcing,
    announcing_stop,
    interrupted,
    recording,
    run_ended,
    run_started,
)
from kaggle_ray.pipeline.baseline import Baseline, submit_baseline
from kaggle_ray.pipeline.checks import check_plan, why_unproven
from kaggle_ray.pipeline.ensembling import save_ensembles
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.pipeline.racing import make_source
from kaggle_ray.pipeline.refit import Refit, refit
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pipeline.retention import retain
from kaggle_ray.pipeline.sample_pictures import drawing_samples
from kaggle_ray.pipeline.services import Services
from kaggle_ray.pipeline.standing import standing_in
from kaggle_ray.pipeline.time_limit import time_to_ensemble
from kaggle_ray.pipeline.trials import RunTrials, Trials, train_all
from kaggle_ray.pool.gather import Pool, gather
from kaggle_ray.report.collect import board_of, save_report_of
from kaggle_ray.reporters import Emit, FanOut, Reporter
from kaggle_ray.reporters.by_name import CONSOLE, is_known
from kaggle_ray.reporters.settings import secrets_hidden
from kaggle_ray.rows import Rows
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.preemption import sigterm_raises
from kaggle_ray.types import TrialResult

Add = Callable[[RunPlan, RunStore], None]
"""Adds experiments to a run."""


@sigterm_raises()
def execute(
    options: RunOptions,
    *,
    reporters: Sequence[Reporter] = (),
    command: Sequence[str] | None = None,
    add: Add | None = None,
) -> RunResult:
    """Run what ``options`` describe, or what of it is not in the store yet.

    Args:
        options: what to run.
        reporters: who is told of the events, beside those of the options and the run's events.jsonl; all are closed at
            the end.
        command: the words that a person types to run the same again; None in a script or notebook.
        add: adds experiments to a run that was begun, of whose own trials then none is run.

    Raises:
        KaggleRayError: what, where, and the next step; what is committed stays committed.
        KeyboardInterrupt: the user stopped it; the reporters were told how to go on.
        Terminated: the same of SIGTERM.
    """
    chosen = options.reporters or ()
    own = [each for each in chosen if not isinstance(each, str)]
    named = [each for each in chosen if isinstance(each, str) and each != CONSOLE]
    if not all(map(is_known, named)):
        load_competition(options.competition)  # whose file may register them
    services = Services(named)
    with secrets_hidden(), announcing([*own, *reporters]) as fan_out:
        return _execute(options, fan_out, services, command, add)


def _execute(
    options: RunOptions, fan_out: FanOut, services: Services, command: Sequence[str] | None, add: Add | None
) -> RunResult:
    started_at = time.monotonic()
    plan = make_plan(options)
    if plan.begins_anew:
        open_run(plan.location).start_anew()
    target, num_masks_decoded = check_plan(plan)
    with (
        open_run(plan.location).lease.held(),
        recording(plan, fan_out, services) as emit,
        drawing_samples(plan, emit, are_shown=bool(services)) as pictures,
        announcing_stop(plan, command, emit),
    ):
        store, trials = _begin(plan, target, command, add, emit)
        baseline = submit_baseline(plan, store, target, emit)
        num_decoded = train_all(plan, store, target, trials, pictures.emit)
        if trials.is_cut_short:
            emit(interrupted("deadline", plan, store, command))
        pool = _gather(plan, store, trials, baseline)
        ensemble, submission = None, baseline.submission
        if pool.oof:
            time_left = time_to_ensemble(plan, rehearsal_s=baseline.rehearsal_s, baseline_s=baseline.duration_s)
            ensemble = save_ensembles(plan, store, pool, target, options.ensemble, emit, time_left)
            submission = plan.submitter(store).submit_ensemble(ensemble, pool, plan.folds, target)
            pictures.of_ensemble(ensemble, pool)
        refitted = refit(plan, store, ensemble, pool, emit) if plan.options.refit else Refit()
        board, report = board_of(store), save_report_of(store)
        retain(plan, store, trials.own.admitted(), [*trials.results, *refitted.results])
        seconds = time.monotonic() - started_at
        emit(run_ended(plan, submission, report, board, command, seconds=seconds))
        if plan.is_fast_dev:
            _check_all_worked(trials.own.results)
    new_results = (*trials.new_results, *refitted.new_results)
    return RunResult(
        plan=plan,
        tried=store.experiments(),
        submission=store.file(submission),
        report=store.file(report),
        board=board,
        pool=pool,
        ensemble=ensemble,
        refit=None if refitted.submission is None else store.file(refitted.submission),
        num_failed=sum(result.status == "failed" for result in trials.results),
        num_epochs_trained=sum(len(result.history) - result.num_resumed for result in new_results),
        decoded_images=sum(result.num_decoded for result in new_results)
        + (plan.num_decoded + num_masks_decoded + num_decoded + refitted.num_decoded),
        seconds=seconds,
    )


def _begin(
    plan: RunPlan, target: Rows, command: Sequence[str] | None, add: Add | None, emit: Emit
) -> tuple[RunStore, RunTrials]:
    """Write the run down, and tell of it; return its store, and its trials."""
    store, warnings = prepare(plan, command)
    ended = standing_in(store, warnings.append)
    own = make_source(plan, store, target, ended, emit) if add is None else over_already(plan, store)
    if add is not None:
        add(plan, store)
    added, num_folds = added_source(plan, store, ended), plan.folds.num_folds
    trials = RunTrials(
        own=Trials.of(own, plan.experiments, num_folds),
        added=Trials.of(added, added.admitted(), num_folds),
        is_adding=add is not None,
    )
    emit(run_started(plan, store.experiments(), trials.results, command, labels=store.labels()))
    for warning in warnings:
        emit(warning)
    return store, trials


def _gather(plan: RunPlan, store: RunStore, trials: RunTrials, baseline: Baseline) -> Pool:
    """Return what complete experiments predict; raise NothingToSubmitError where none is, though there was the time."""
    pool = gather(
        store,
        plan.folds,
        [*trials.own.admitted(), *store.added()],
        plan.samples.test_ids,
        greater_is_better=plan.competition.metric.greater_is_better,
        admit_unproven=plan.options.admit_unproven,
    ).with_table_of(plan.samples, plan.folds)
    if not pool.oof and plan.stop_at is None:
        raise NothingToSubmitError(
            f"{_why_nothing(trials.own, pool)} The constant baseline is in {baseline.submission}."
        )
    return pool


def _check_all_worked(results: Sequence[TrialResult]) -> None:
    """Raise TrialError where a trial failed, which a real run would go on without."""
    if reasons := sorted({result.error for result in results if result.error}):
        num_failed = sum(result.status == "failed" for result in results)
        raise TrialError(
            f"--fast-dev: {num_failed} of {counted(len(results), 'trial')} failed. {' '.join(reasons[:3])}"
        )


def _why_nothing(trials: Trials, pool: Pool) -> str:
    if pool.unproven:
        unproven = [experiment for experiment in trials.admitted() if experiment.experiment_id in pool.unproven]
        return f"nothing else is complete: {why_unproven(unproven)}"
    results = trials.results
    reasons = sorted({result.error for result in results if result.error})
    num_failed = sum(result.status == "failed" for result in results)
    return f"no experiment is complete: {counted(num_failed, 'trial')} failed. {' '.join(reasons[:3])}"
