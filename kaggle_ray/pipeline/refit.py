"""Trains what has weight in the ensemble once more, on all rows, for a second submission.

A cross-validated ensemble predicts the test rows by the mean of K models that each left a fold out. A refit predicts
them by one model of all rows in their place. No row is left to score it by: its weights and its decision are those of
its cross-validated counterpart, and so is the only score that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median_high

from kaggle_ray.combine import Ensemble
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pool.gather import Pool, mean_of
from kaggle_ray.pool.ledger import check_full_lineage, rows_in
from kaggle_ray.pool.members import Member, full_model, members_of, models_of
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.schedule.source import Ended, ListSource, TrialSource
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.context import TrialContext
from kaggle_ray.types import Experiment, Location, Trial, TrialResult

Train = Callable[[TrialSource, Sequence[Experiment], int, TrialContext], int]
"""Runs the trials of a source, of these experiments with so many each, as far as there is time; returns how many images
this process decoded for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refit:
    """What became of a refit."""

    submission: Location | None = None
    why_not: str | None = None
    """Why there is no submission."""
    results: tuple[TrialResult, ...] = ()
    """Results of the trials of all rows, those of earlier sessions first."""
    num_resumed: int = 0
    """Results of earlier sessions."""
    num_decoded: int = 0


def refit(plan: RunPlan, store: RunStore, ensemble: Ensemble, pool: Pool, ended: Ended, train: Train) -> Refit:
    """Train the ensemble's experiments, and the parents that they start from, on all rows; submit what they predict.

    Args:
        plan: of the run.
        store: its store.
        ensemble: of the cross-validated members.
        pool: that it was chosen from.
        ended: looks up the trials that are over, which are not run again.
        train: runs the others.

    Raises:
        LeakError: a trial of all rows predicts rows that are scored.
        SubmissionError: the file is not what the sample submission asks for.
    """
    members = [pool.members[member_id] for member_id in ensemble.weights]
    tried = store.experiments()
    wanted = {trial.experiment_id for trial in models_of(members, tried)}
    experiments = [experiment for experiment in tried if experiment.experiment_id in wanted]
    greater_is_better = plan.competition.metric.greater_is_better
    epochs = {
        experiment.experiment_id: full_data_epochs(
            experiment,
            _fold_results(plan, store, experiment),
            greater_is_better=greater_is_better,
            forward=plan.folds.forward,
        )
        for experiment in experiments
    }
    trials = ListSource(experiments, None, ended)
    num_resumed = len(trials.results)
    num_decoded = 0
    if num_resumed < len(experiments):
        num_decoded = train(trials, experiments, 1, replace(plan.trial_context(), full_data_epochs=epochs))
    why_not = _why_not(trials, len(experiments))
    submission = None
    if why_not is None:
        test = {member.member_id: _read_member(plan, store, member) for member in members}
        submission = plan.submitter(store).submit_refit(ensemble, test, pool.test_table)
    return Refit(
        submission=submission,
        why_not=why_not,
        results=trials.results,
        num_resumed=num_resumed,
        num_decoded=num_decoded,
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


def _why_not(trials: TrialSource, num_trials: int) -> str | None:
    """Return why trials of all rows are not committed, None where all are."""
    errors = sorted({result.error for result in trials.results if result.error})
    if errors:
        return f"a trial of all rows failed: {errors[0]}"
    num_committed = sum(result.status == "committed" for result in trials.results)
    if num_committed < num_trials:
        return f"there was time for {num_committed} of {num_trials} trials of all rows"
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
