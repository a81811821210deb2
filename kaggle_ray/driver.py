"""The story of a run: from a competition and its experiments to a verified submission."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.data.baseline import check_directions
from kaggle_ray.data.folds import folds_to_csv
from kaggle_ray.data.table import idle_columns
from kaggle_ray.ensemble import Ensemble, Method, select
from kaggle_ray.errors import NothingToSubmitError, TrialError
from kaggle_ray.gather import Pool, gather, missing_folds
from kaggle_ray.images.opened import open_masks, open_target, open_test, open_train
from kaggle_ray.launch.launcher import LauncherName, make_launcher
from kaggle_ray.metrics import confusion_matrix
from kaggle_ray.provenance import provenance
from kaggle_ray.refit import Refit, refit
from kaggle_ray.report.board import Board
from kaggle_ray.report.collect import board_of, report_of
from kaggle_ray.report.html import render_report
from kaggle_ray.reporters import FanOut, Reporter, events
from kaggle_ray.reporters.jsonl import JsonlReporter
from kaggle_ray.rows import Rows, take
from kaggle_ray.schedule.plan import RunOptions, RunPlan, make_plan
from kaggle_ray.schedule.source import DeadlineSource, ListSource
from kaggle_ray.store.lease import lease, start_anew
from kaggle_ray.store.run import EVENTS_FILE, RunStore
from kaggle_ray.submission.full_size import full_size_score
from kaggle_ray.submission.submit import submit_baseline, submit_ensemble
from kaggle_ray.sweep import sweep
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.preemption import Terminated, sigterm_raises
from kaggle_ray.types import Event, JsonValue, TrialResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run came to."""

    plan: RunPlan
    submission: Path
    """The checked submission: the ensemble's, or the constant baseline's where no experiment is complete."""
    report: Path
    board: Board
    pool: Pool
    ensemble: Ensemble | None
    refit: Path | None
    """The checked submission of models of all rows; None where it was not asked for, or not finished."""
    num_epochs_trained: int
    """In this session, by trials that were not in the store already."""
    decoded_images: int
    """In this session: what the cache did not have."""
    seconds: float
    """Wall time of this session."""


@sigterm_raises()
def execute(
    options: RunOptions,
    *,
    launcher: LauncherName = "ray",
    method: Method = "greedy",
    reporters: Sequence[Reporter] = (),
    command: Sequence[str] | None = None,
) -> Outcome:
    """Run what ``options`` describe, or what of it is not in the store yet.

    Args:
        options: what to run.
        launcher: where the trials run; the predictions are the same.
        method: how the ensemble is weighted.
        reporters: who is told of the events, beside the run's events.jsonl; closed at the end.
        command: the words that a person types to run the same again; None in a script or notebook.

    Raises:
        KaggleRayError: what, where, and the next step; what is committed stays committed.
        KeyboardInterrupt: the user stopped it; the reporters were told how to go on.
        Terminated: the same of SIGTERM.
    """
    started = time.monotonic()
    plan = make_plan(options)
    if plan.is_fast_dev:
        launcher = "local"
        start_anew(plan.run_dir)
    else:  # a fast-dev run finds it in seconds, and its breakpoints are to stop at a batch, not at a check's tensors
        _check_models(plan)
    target, num_decoded = open_target(plan.competition, plan.samples, default_cache_dir())
    check_directions(plan.competition.heads, target)
    with lease(plan.run_dir), _told(plan, reporters) as tell, _stop_told(plan, command, tell):
        store = _begin(plan, command)
        trials = ListSource(plan.experiments, plan.folds.num_folds, ended=store.result)
        num_resumed = len(trials.results)
        tell.emit(_run_started(plan, launcher, trials.results))
        baseline, baseline_score = submit_baseline(plan, store, target)
        tell.emit(events.baseline(score=baseline_score, submission=baseline))
        num_decoded += _train(plan, launcher, tell, trials, plan.trial_context())
        if _is_cut_short(plan, trials.results):
            tell.emit(_interrupted("deadline", plan, store, command))
        pool = gather(
            store,
            plan.folds,
            trials.admitted(),
            plan.samples.test_ids,
            greater_is_better=plan.competition.metric.greater_is_better,
            admit_unproven=plan.admit_unproven,
        )
        if not pool.oof and plan.stop_at is None:
            raise NothingToSubmitError(_why_nothing(pool, trials.results, baseline))
        ensemble = _ensemble(plan, store, pool, target, method, tell) if pool.oof else None
        submission = submit_ensemble(plan, store, ensemble, pool) if ensemble else baseline
        refitted = _refit(plan, store, ensemble, pool, launcher, tell)
        board = board_of(store)
        report = store.save_report(render_report(report_of(store)))
        sweep(plan, store, [*trials.results, *refitted.results])
        seconds = time.monotonic() - started
        tell.emit(
            events.run_finished(
                submission=submission,
                report=report,
                seconds=seconds,
                board=board.to_rows(),
                remark=_remark(plan, command) if plan.is_fast_dev else None,
            )
        )
        if plan.is_fast_dev:
            _check_all_worked(trials.results)
    new_results = [*trials.results[num_resumed:], *refitted.results[refitted.num_resumed :]]
    return Outcome(
        plan=plan,
        submission=submission,
        report=report,
        board=board,
        pool=pool,
        ensemble=ensemble,
        refit=refitted.submission,
        num_epochs_trained=sum(len(result.history) - result.num_resumed for result in new_results),
        decoded_images=plan.num_decoded
        + num_decoded
        + refitted.num_decoded
        + sum(result.num_decoded for result in new_results),
        seconds=seconds,
    )


def _check_models(plan: RunPlan) -> None:
    """Raise ConfigError for an unknown model, recipe or loss before it is written down, let alone trained for hours.

    A run that was begun has passed; torch, which knows the models, is not imported for it.
    """
    if RunStore(plan.run_dir).record() is not None:
        return
    from kaggle_ray.images.augment import check_recipe
    from kaggle_ray.models import Shapes, check_model
    from kaggle_ray.train.constraints import make_constraint
    from kaggle_ray.train.losses import check_loss

    table = plan.samples.train_table
    shapes = Shapes(
        num_outputs=sum(head.num_outputs for head in plan.competition.heads),
        num_channels=plan.competition.channels,
        num_views=plan.samples.num_views,
        num_table_columns=len(table.columns) if table else 0,
        segments=plan.competition.is_segmentation,
    )
    checked: list[dict[str, JsonValue]] = []
    for experiment in plan.experiments:
        point = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        check_recipe(point.augment)
        check_loss(point.loss, point.loss_args, plan.competition.heads)
        make_constraint(point.constraint, point.constraint_args)
        heights = {point.size_at(1), point.predict_size, point.largest_size}
        asked: dict[str, JsonValue] = {
            "name": point.model,
            "model_args": point.model_args,
            "head": point.head,
            "pretrained": point.pretrained,
            "sides": sorted(point.sides(height) for height in heights),
        }
        if asked not in checked:  # experiments that differ in how they train ask the same of a model
            check_model(shapes=shapes, **asked)
            checked.append(asked)


def _begin(plan: RunPlan, command: Sequence[str] | None) -> RunStore:
    """Return the run's store, with the run written down in it.

    Raises:
        RunMismatchError: the folder is another run's.
    """
    store = RunStore(plan.run_dir)
    facts = {
        "run_id": plan.run_id,
        "classes": list(plan.competition.classes),
        "classes_of_heads": {head.name: list(head.classes) for head in plan.competition.heads},
        "table_columns": list(table.columns) if (table := plan.samples.test_table) else None,
        "metric": plan.competition.metric.name,
        "greater_is_better": plan.competition.metric.greater_is_better,
        "num_folds": plan.folds.num_folds,
        "competition_file": str(plan.competition_file),
        "data": plan.data,
        "fast_dev": plan.is_fast_dev,
        **provenance(command),
    }
    record = store.begin(plan.identity, facts)
    if record["code"] != facts["code"]:
        logger.warning("run %s was started with another version of the code (see run.json)", plan.run_id)
    if plan.unreadable:
        store.save_unreadable(plan.unreadable)
        names = ", ".join(list(plan.unreadable)[:5])
        logger.warning(
            "%d files cannot be read and are left out: %s (see unreadable.json)", len(plan.unreadable), names
        )
    if plan.samples.train_table is not None and (idle := idle_columns(plan.samples.train_table)):
        logger.warning("the table's columns %s are empty, or the same in every training row", ", ".join(idle[:5]))
    if plan.twins.groups:
        store.save_twins(plan.twins.to_json())
        logger.warning("near-duplicate images: %s (see twins.json)", plan.twins.summary())
    store.save_folds_csv(folds_to_csv(plan.folds))
    for experiment in plan.experiments:
        store.save_experiment(experiment)
    return store


def _train(plan: RunPlan, launcher: LauncherName, tell: Reporter, trials: ListSource, context: TrialContext) -> int:
    """Run the trials that are left, as far as there is time; return how many images this process decoded for them."""
    if not trials.pending or (plan.stop_at is not None and time.time() >= plan.stop_at):
        return 0
    source = trials if plan.stop_at is None else DeadlineSource(trials, stop_at=plan.stop_at, num_slots=plan.num_slots)
    cache_dir = default_cache_dir()
    opened = [
        images
        for sides in plan.image_sides
        for open_images in (open_train, open_test, open_masks)
        if (images := open_images(plan.competition, plan.samples, sides, cache_dir)) is not None
    ]
    make_launcher(launcher, num_slots=plan.num_slots).run(source, context, tell.emit)
    return sum(images.num_decoded for images in opened)


def _ensemble(plan: RunPlan, store: RunStore, pool: Pool, target: Rows, method: Method, tell: Reporter) -> Ensemble:
    """Save the ensemble of every method, for the board; return the one that is asked for."""
    rows = plan.folds.scored_rows()
    target, fold_of, metric = take(target, rows), plan.folds.fold_of[rows], plan.competition.metric
    singles = {
        name: None if name in pool.unproven else select({name: values}, target, fold_of, metric, "mean").score_honest
        for name, values in {**pool.oof, **pool.of_seeds}.items()
    }
    ensembles: dict[Method, Ensemble] = {}
    full_size: float | None = None
    for name in get_args(Method):
        ensembles[name] = select(pool.oof, target, fold_of, metric, name)
        if name == method:
            full_size = full_size_score(plan, ensembles[name])
        description = {
            "method": name,
            "chosen": name == method,
            "weights": dict(ensembles[name].weights),
            "decision": ensembles[name].decision.to_json(),
            "score_honest": _honest_score(ensembles[name], pool),
            "score_in_sample": ensembles[name].score_in_sample,
            "score_full_size": full_size if name == method else None,
            "members": [member.to_json() for name, member in pool.members.items() if name in pool.oof],
            "scores": singles,
            "unproven": sorted(pool.unproven),
            "confusion": _confusion(plan, target, ensembles[name]),
        }
        store.save_ensemble(
            name,
            description,
            oof=ensembles[name].oof,
            test=ensembles[name].apply(pool.test),
            are_masks=plan.competition.is_segmentation,
        )
    chosen = ensembles[method]
    tell.emit(
        events.ensemble(
            method=method,
            weights={pool.members[member_id].name: weight for member_id, weight in chosen.weights.items()},
            score_honest=_honest_score(chosen, pool),
            score_in_sample=chosen.score_in_sample,
            score_full_size=full_size,
        )
    )
    return chosen


def _refit(
    plan: RunPlan, store: RunStore, ensemble: Ensemble | None, pool: Pool, launcher: LauncherName, tell: Reporter
) -> Refit:
    """Train the ensemble's experiments on all rows where the user asks for it, and tell what came of it."""
    if not plan.refit:
        return Refit()
    if ensemble is None:
        refitted = Refit(why_not="no experiment is complete")
    else:
        # The launcher starts anew for these few trials: what they are is known only now.
        refitted = refit(plan, store, ensemble, pool, partial(_train, plan, launcher, tell))
    tell.emit(
        events.refit(
            submission=refitted.submission,
            score_of_twin=_honest_score(ensemble, pool) if ensemble else None,
            why_not=refitted.why_not,
        )
    )
    return refitted


def _honest_score(ensemble: Ensemble, pool: Pool) -> float | None:
    """Return the score to show: none where the scored rows had a say in the weights of a member."""
    return None if pool.unproven & ensemble.weights.keys() else ensemble.score_honest


def _confusion(plan: RunPlan, target: Rows, ensemble: Ensemble) -> list[list[int]] | None:
    """Return the counts of truth x answer, None where a row has not one class of several."""
    if plan.competition.task not in ("binary", "multiclass"):
        return None
    counts: list[list[int]] = confusion_matrix(target[:], ensemble.oof[:], len(plan.competition.classes)).tolist()
    return counts


@contextmanager
def _told(plan: RunPlan, reporters: Sequence[Reporter]) -> Iterator[Reporter]:
    """Yield the reporters as one, the run's events.jsonl among them; close them at the end."""
    tell = FanOut([JsonlReporter(plan.run_dir / EVENTS_FILE), *reporters])
    try:
        yield tell
    finally:
        tell.close()


@contextmanager
def _stop_told(plan: RunPlan, command: Sequence[str] | None, tell: Reporter) -> Iterator[None]:
    """Tell how to go on where a person or the machine stops the run within the context."""
    try:
        yield
    except KeyboardInterrupt as stop:
        reason: events.InterruptReason = "sigterm" if isinstance(stop, Terminated) else "ctrl-c"
        if not plan.is_fast_dev:  # which is not resumed
            tell.emit(_interrupted(reason, plan, RunStore(plan.run_dir), command))
        raise


def _is_cut_short(plan: RunPlan, results: Sequence[TrialResult]) -> bool:
    """Tell whether the clock kept trials from being started or from ending."""
    return len(results) < plan.num_trials or any(result.status == "stopped" for result in results)


def _num_committed(plan: RunPlan, store: RunStore) -> int:
    num_folds = plan.folds.num_folds
    return sum(num_folds - len(missing_folds(store, plan.folds, experiment)) for experiment in plan.experiments)


def _interrupted(
    reason: events.InterruptReason, plan: RunPlan, store: RunStore, command: Sequence[str] | None
) -> Event:
    if command is None:
        how_to_resume = f"call run() again with run_id={plan.run_id!r}"
        how_to_ensemble = f"{how_to_resume} and budget='0s'"
    else:
        words = list(command) if "--run-id" in command else [*command, "--run-id", plan.run_id]
        how_to_resume, how_to_ensemble = shlex.join(words), shlex.join([*words, "--budget", "0s"])
    return events.interrupted(
        reason=reason,
        num_committed=_num_committed(plan, store),
        num_trials=plan.num_trials,
        how_to_resume=how_to_resume,
        how_to_ensemble=how_to_ensemble,
    )


def _run_started(plan: RunPlan, launcher: LauncherName, ended: Sequence[TrialResult]) -> Event:
    return events.run_started(
        run_id=plan.run_id,
        competition=plan.competition.name,
        metric=plan.competition.metric.name,
        greater_is_better=plan.competition.metric.greater_is_better,
        experiments={experiment.experiment_id: experiment.name for experiment in plan.experiments},
        num_folds=plan.folds.num_folds,
        ended=ended,
        epochs={e.experiment_id: int(e.hyperparameters["epochs"]) for e in plan.experiments},
        launcher=launcher,
        num_slots=plan.num_slots if launcher == "ray" else 1,
        run_dir=plan.run_dir,
    )


def _remark(plan: RunPlan, command: Sequence[str] | None) -> str:
    """Return what there is to know of the numbers of a fast-dev run, and how the real one is started."""
    real = "the same call without fast_dev" if command is None else shlex.join(w for w in command if w != "--fast-dev")
    return (
        f"This was a fast-dev run, of {len(plan.samples.train_ids)} training and {len(plan.samples.test_ids)} test "
        f"rows: its scores mean nothing, and its submission is not whole. The real run: {real}"
    )


def _check_all_worked(results: Sequence[TrialResult]) -> None:
    """Raise TrialError where a trial failed, which a real run would go on without."""
    if reasons := sorted({result.error for result in results if result.error}):
        num_failed = sum(result.status == "failed" for result in results)
        raise TrialError(f"--fast-dev: {num_failed} of {len(results)} trials failed. {' '.join(reasons[:3])}")


def _why_nothing(pool: Pool, results: Sequence[TrialResult], baseline: Path) -> str:
    if pool.unproven:
        return (
            f"{len(pool.unproven)} experiments are complete, but their epoch was chosen on the rows that are scored "
            f"(epoch_rule scored_fold): --admit-unproven submits them, without an honest score. "
            f"The constant baseline is in {baseline}."
        )
    reasons = sorted({result.error for result in results if result.error})
    return (
        f"no experiment is complete: {sum(result.status == 'failed' for result in results)} trials failed. "
        f"{' '.join(reasons[:3])} The constant baseline is in {baseline}."
    )
