"""Trains what has weight in the ensemble once more, on all rows, for a second submission.

A cross-validated ensemble predicts the test rows by the mean of K models that each left a fold out. A refit predicts
them by one model of all rows in their place. No row is left to score it by: its weights and its decision are those of
its cross-validated counterpart, and so is the only score that there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median_high

from kaggle_ray.combine import Ensemble
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.standing import standing_in
from kaggle_ray.pipeline.trials import Trials, train
from kaggle_ray.pool.gather import Pool, mean_of
from kaggle_ray.pool.ledger import check_full_lineage, rows_in
from kaggle_ray.pool.members import Member, full_model, members_of, models_of
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import RefitEnded
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.schedule.source import ListSource
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment, Location, Trial, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Refit:
    """What became of a refit."""

    submission: Location | None = None
    why_not: str | None = None
    """Why there is no submission."""
    results: tuple[TrialResult, ...] = ()
    """Results of the trials of all rows, those of earlier sessions first."""
    new_results: tuple[TrialResult, ...] = ()
    """Results of this session."""
    num_decoded: int = 0
    """Images that this process decoded for them."""


def refit(plan: RunPlan, store: RunStore, ensemble: Ensemble | None, pool: Pool, emit: Emit) -> Refit:
    """Train the ensemble's experiments, and the parents that they start from, on all rows; submit what they predict.

    Args:
        plan: of the run.
        store: its store.
        ensemble: of the cross-validated members; None where no experiment is complete.
        pool: that it was chosen from.
        emit: is told how the trials get on, and what came of them.

    Raises:
        LeakError: a trial of all rows predicts rows that are scored.
        SubmissionError: the file is not what the sample submission asks for.
    """
    refitted = Refit(why_not="no experiment is complete")
    if ensemble is not None:
        refitted = _refit(plan, store, ensemble, pool, emit)
    emit(
        RefitEnded(
            submission=refitted.submission,
            cross_validated_score=ensemble.score_honest if ensemble else None,
            why_not=refitted.why_not,
        )
    )
    return refitted


def _refit(plan: RunPlan, store: RunStore, ensemble: Ensemble, pool: Pool, emit: Emit) -> Refit:
    members = [pool.members[member_id] for member_id in ensemble.weights]
    tried = store.experiments()
    wanted = {trial.experiment_id for trial in models_of(members, tried)}
    experiments = [experiment for experiment in tried if experiment.experiment_id in wanted]
    trials = Trials.of(ListSource(experiments, None, standing_in(store, emit)), experiments, num_folds=1)
    num_decoded = 0
    if trials.has_left:
        epochs = {each.experiment_id: _epochs_of(plan, store, each) for each in experiments}
        # The launcher starts anew for these few trials: what they are is known only now.
        num_decoded = train(plan, trials, replace(plan.trial_context(), full_data_epochs=epochs), emit)
    why_not = _why_not(trials.results, len(experiments))
    submission = None
    if why_not is None:
        test = {member.member_id: _read_member(plan, store, member) for member in members}
        submission = plan.submitter(store).submit_refit(ensemble, test, pool.test_table)
    return Refit(
        submission=submission,
        why_not=why_not,
        results=trials.results,
        new_results=trials.new_results,
        num_decoded=num_decoded,
    )


def _epochs_of(plan: RunPlan, store: RunStore, experiment: Experiment) -> int:
    return full_data_epochs(
        experiment,
        _fold_results(plan, store, experiment),
        greater_is_better=plan.competition.metric.greater_is_better,
        forward=plan.folds.forward,
    )


def full_data_epochs(
    experiment: Experiment, results: Sequence[TrialResult], *, greater_is_better: bool, forward: bool = False
) -> int:
    """Return for how many epochs an experiment is trained on all rows.

    It is the median of the epochs whose weights predicted in the folds, the later of the two in the middle, and the
    schedule is stretched to end there. With a snapshot schedule it is the experiment's own number, as its cycles have
    to end where those of the folds did.

    Args:
        experiment: of the run.
        results: (K,) the committed results of its folds.
        greater_is_better: of the metric, where each fold's epoch is chosen by the others.
        forward: whether folds follow each other in time.
    """
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    if hyperparameters.schedule.name == "snapshot":
        return hyperparameters.training.epochs
    of_experiment = {experiment.experiment_id: results}
    (member,) = members_of([experiment], of_experiment, greater_is_better=greater_is_better, forward=forward)
    epochs = zip(member.parts[0].epochs, results, strict=True)
    return median_high(result.epoch if epoch is None else epoch for epoch, result in epochs)


def _fold_results(plan: RunPlan, store: RunStore, experiment: Experiment) -> list[TrialResult]:
    trials = (Trial(experiment_id=experiment.experiment_id, fold=fold) for fold in range(plan.folds.num_folds))
    results = [store.result(trial) for trial in trials]
    return [result for result in results if result is not None]  # all are there: it is complete, or a parent of one


def _why_not(results: Sequence[TrialResult], num_trials: int) -> str | None:
    """Return why trials of all rows are not committed, None where all are."""
    errors = sorted({result.error for result in results if result.error})
    if errors:
        return f"a trial of all rows failed: {errors[0]}"
    num_committed = sum(result.status == "committed" for result in results)
    if num_committed < num_trials:
        return f"there was time for {num_committed} of {counted(num_trials, 'trial')} of all rows"
    return None


def _read_member(plan: RunPlan, store: RunStore, member: Member) -> Rows:
    """Return (T, C) what a member's models of all rows predict, the mean over its seeds."""
    by_id = {experiment.experiment_id: experiment for experiment in store.experiments()}
    test_ids = plan.samples.test_ids
    parts: list[Rows] = []
    for part in member.parts:
        trial, epoch = full_model(part, by_id[part.experiment_id])
        result = store.result(trial)
        assert result is not None, "it is committed"
        valid, test = store.predictions(result, epoch=epoch)
        check_full_lineage(trial, valid, test, plan.folds)
        order = rows_in(test.sample_ids, test_ids, where=f"{trial} on the test set")
        parts.append(select_rows(float_rows(test.values), order))
    return mean_of(parts)
