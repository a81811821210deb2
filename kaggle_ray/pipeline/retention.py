"""What a run's end leaves on the disk: the weights that somebody may still ask for, and every prediction."""

from __future__ import annotations

from collections.abc import Sequence

from kaggle_ray.combine.saved import saved_ensembles
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.pipeline.added import pending_weights
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pool.members import models_of
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import FULL_DATA, Experiment, Trial, TrialResult


def retain(plan: RunPlan, store: RunStore, admitted: Sequence[Experiment], results: Sequence[TrialResult]) -> None:
    """Sum up the results, and remove what killed attempts left, and the weights that a complete run needs no more.

    Those of parents and of the members of every saved ensemble stay, so that a rerun with another one can predict new
    data, too; so do those of trials of all rows, all of an experiment that names ``keep_epochs``, and those that an
    experiment waits for that was added. Where each fold's epoch is chosen by the others, those of the end stay, too:
    without them ``kaggle-ray augment`` cannot make a trial of it. Predictions stay in any case: whatever is ensembled
    is ensembled from them.

    Args:
        plan: of the run.
        store: its store, with the ensembles of this session.
        admitted: the experiments that were not stopped: no trial of another is run any more.
        results: of its trials, those of all rows included.
    """
    committed = [result for result in results if result.status == "committed"]
    for result in committed:
        store.remove_losing_attempts(result)
    store.save_summary(results)
    ensembles = saved_ensembles(store)
    if not ensembles or not _has_ended(plan, store, admitted):
        return
    members = [member for ensemble in ensembles for member in ensemble.weighted_members]
    experiments = store.experiments()
    needed = models_of(members, experiments)
    trainings = {
        each.experiment_id: parse_hyperparameters(each.hyperparameters, where=each.name).training
        for each in experiments
    }
    waited_for = set(pending_weights(store, plan.folds.num_folds))
    for result in committed:
        if result.trial.fold == FULL_DATA or result.trial in waited_for:
            continue
        training, keep = trainings[result.trial.experiment_id], set(needed.get(result.trial, ()))
        if training.keep_epochs or (keep and training.epoch_rule == "other_folds"):
            keep |= {None, *training.keep_epochs}
        store.remove_weights(result, keep=keep)


def _has_ended(plan: RunPlan, store: RunStore, admitted: Sequence[Experiment]) -> bool:
    """Return whether no trial is left that may yet start from another's weights."""
    ids, folds = [experiment.experiment_id for experiment in admitted], range(plan.folds.num_folds)
    if len(store.experiments()) - len(store.added()) < plan.num_experiments:
        return False  # a search may go on
    return all(store.result(Trial(experiment_id=each, fold=fold)) is not None for each in ids for fold in folds)
