"""The story of a run: from a competition and its experiments to a verified submission."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine import Ensemble
from kaggle_ray.data.opening import load_competition
from kaggle_ray.errors import NothingToSubmitError, TrialError
from kaggle_ray.images.datasets import open_masks, open_test, open_train
from kaggle_ray.launch.by_name import make_launcher
from kaggle_ray.pipeline.added import added_source, over_already
from kaggle_ray.pipeline.announce import announcing, announcing_stop, interrupted, note, recording, run_started
from kaggle_ray.pipeline.ensembling import save_ensembles
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import check_plan, prepare, why_unproven
from kaggle_ray.pipeline.racing import has_trials_left, make_source
from kaggle_ray.pipeline.refit import Refit, refit
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pipeline.retention import retain
from kaggle_ray.pipeline.sample_pictures import drawing_samples
from kaggle_ray.pipeline.services import Services
from kaggle_ray.pipeline.standing import standing_in
from kaggle_ray.pipeline.summing_up import summing_up
from kaggle_ray.pipeline.time_limit import time_to_ensemble, with_time_to_ensemble
from kaggle_ray.pool.gather import Pool, gather
from kaggle_ray.report.collect import board_of, save_report_of
from kaggle_ray.reporters import Emit, FanOut, Reporter
from kaggle_ray.reporters.by_name import CONSOLE, is_known
from kaggle_ray.reporters.events import BaselineScored, RefitEnded, RunEnded
from kaggle_ray.reporters.settings import secrets_hidden
from kaggle_ray.schedule.source import DeadlineSource, TrialSource
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.preemption import sigterm_raises
from kaggle_ray.types import Experiment, Location, TrialResult

logger = logging.getLogger(__name__)

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
    started = time.monotonic()
    plan = make_plan(options)
    if plan.begins_anew:
        open_run(plan.location).start_anew()
    target, num_decoded = check_plan(plan)
    with (
        open_run(plan.location).lease.held(),
        recording(plan, fan_out, services) as emit,
        drawing_samples(plan, emit, are_shown=bool(services)) as pictures,
        announcing_stop(plan, command, emit),
    ):
        store, warnings = prepare(plan, command)
        ended = standing_in(store, warnings.append)
        trials = make_source(plan, store, target, ended, emit) if add is None else over_already(plan, store)
        if add is not None:
            add(plan, store)
        added = added_source(plan, store, ended)
        num_resumed, num_added_before = len(trials.results), len(added.results)
        emit(run_started(plan, store.experiments(), _all_results(trials, added), command, labels=store.labels()))
        for warning in warnings:
            emit(warning)
        submitter = plan.submitter(store)
        began_at = time.monotonic()
        submitter.rehearse(plan.folds, target)
        rehearsed_at = time.monotonic()
        baseline, baseline_score = submitter.submit_baseline(plan.folds, target)
        baseline_s = time.monotonic() - rehearsed_at
        emit(BaselineScored(score=baseline_score, submission=baseline))
        own = (trials, plan.experiments, add is None and has_trials_left(trials, plan.num_trials))
        later = (added, added.admitted(), num_added_before < len(added.admitted()) * plan.folds.num_folds)
        for source, experiments, has_left in (own, later):
            if has_left:
                tell = summing_up(pictures.emit, lambda: store.save_summary(_all_results(trials, added)))
                limited = with_time_to_ensemble(plan, target)
                num_decoded += _train(limited, tell, source, experiments, plan.folds.num_folds, limited.trial_context())
        if _is_cut_short(_all_results(trials, added)):
            emit(interrupted("deadline", plan, store, command))
        pool = gather(
            store,
            plan.folds,
            [*trials.admitted(), *store.added()],
            plan.samples.test_ids,
            greater_is_better=plan.competition.metric.greater_is_better,
            admit_unproven=plan.options.admit_unproven,
        ).with_table_of(plan.samples, plan.folds)
        if not pool.oof and plan.stop_at is None:
            raise NothingToSubmitError(_why_nothing(trials, pool, baseline))
        time_left = time_to_ensemble(plan, rehearsal_s=rehearsed_at - began_at, baseline_s=baseline_s)
        ensemble = save_ensembles(plan, store, pool, target, options.ensemble, emit, time_left) if pool.oof else None
        submission = submitter.submit_ensemble(ensemble, pool, plan.folds, target) if ensemble else baseline
        if ensemble is not None:
            pictures.of_ensemble(ensemble, pool)
        refitted = _refit(plan, store, ensemble, pool, emit)
        board = board_of(store)
        report = save_report_of(store)
        retain(plan, store, trials.admitted(), [*_all_results(trials, added), *refitted.results])
        seconds = time.monotonic() - started
        emit(
            RunEnded(
                submission=submission,
                report=report,
                seconds=seconds,
                board=board.rows,
                note=note(plan, command) if plan.is_fast_dev else None,
            )
        )
        if plan.is_fast_dev:
            _check_all_worked(trials.results)
    new_results = [
        *trials.results[num_resumed:],
        *added.results[num_added_before:],
        *refitted.results[refitted.num_resumed :],
    ]
    return RunResult(
        plan=plan,
        tried=store.experiments(),
        submission=store.file(submission),
        report=store.file(report),
        board=board,
        pool=pool,
        ensemble=ensemble,
        refit=None if refitted.submission is None else store.file(refitted.submission),
        num_failed=sum(result.status == "failed" for result in _all_results(trials, added)),
        num_epochs_trained=sum(len(result.history) - result.num_resumed for result in new_results),
        decoded_images=sum(result.num_decoded for result in new_results)
        + (plan.num_decoded + num_decoded + refitted.num_decoded),
        seconds=seconds,
    )


def _all_results(trials: TrialSource, added: TrialSource) -> tuple[TrialResult, ...]:
    """Return the results of a run's own trials, and of those that were added."""
    return (*trials.results, *added.results)


def _train(
    plan: RunPlan,
    emit: Emit,
    trials: TrialSource,
    experiments: Sequence[Experiment],
    num_folds: int,
    context: TrialContext,
) -> int:
    """Run the trials that are left, as far as there is time; return how many images this process decoded for them."""
    source = trials
    if plan.stop_at is not None:
        source = DeadlineSource(
            trials, experiments, num_folds, stop_at=plan.stop_at, num_slots=plan.num_slots, now=plan.clock.now
        )
        if plan.clock.now() >= plan.stop_at:
            source.next()  # records each trial that is left as stopped: nothing ends in time any more
            return 0
    cache_dir = default_cache_dir()
    opened = [
        images
        for sides in plan.image_sides
        for open_images in (open_train, open_test, open_masks)
        if (images := open_images(plan.competition, plan.samples, sides, cache_dir)) is not None
    ]
    make_launcher(plan.options.launcher, plan.ray_placement()).run(source, context, emit)
    return sum(images.num_decoded for images in opened)


def _refit(plan: RunPlan, store: RunStore, ensemble: Ensemble | None, pool: Pool, emit: Emit) -> Refit:
    """Train the ensemble's experiments on all rows where the user asks for it, and tell what came of it."""
    if not plan.options.refit:
        return Refit()
    if ensemble is None:
        refitted = Refit(why_not="no experiment is complete")
    else:
        # The launcher starts anew for these few trials: what they are is known only now.
        refitted = refit(plan, store, ensemble, pool, standing_in(store, emit), partial(_train, plan, emit))
    emit(
        RefitEnded(
            submission=refitted.submission,
            cross_validated_score=ensemble.score_honest if ensemble else None,
            why_not=refitted.why_not,
        )
    )
    return refitted


def _is_cut_short(results: Sequence[TrialResult]) -> bool:
    """Tell whether the clock kept trials from being started or from ending."""
    return any(result.status == "stopped" for result in results)


def _check_all_worked(results: Sequence[TrialResult]) -> None:
    """Raise TrialError where a trial failed, which a real run would go on without."""
    if reasons := sorted({result.error for result in results if result.error}):
        num_failed = sum(result.status == "failed" for result in results)
        raise TrialError(f"--fast-dev: {num_failed} of {len(results)} trials failed. {' '.join(reasons[:3])}")


def _why_nothing(trials: TrialSource, pool: Pool, baseline: Location) -> str:
    results = trials.results
    if pool.unproven:
        unproven = [experiment for experiment in trials.admitted() if experiment.experiment_id in pool.unproven]
        return f"nothing else is complete: {why_unproven(unproven)} The constant baseline is in {baseline}."
    reasons = sorted({result.error for result in results if result.error})
    return (
        f"no experiment is complete: {sum(result.status == 'failed' for result in results)} trials failed. "
        f"{' '.join(reasons[:3])} The constant baseline is in {baseline}."
    )
