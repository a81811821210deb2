"""Assembles what a trial is made of: the run's rows, and the committed trials that it starts or learns from."""

from __future__ import annotations

from collections import Counter

import numpy as np

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.models.weights import digest_of_weights
from kaggle_ray.store.attempt import epochs_with_weights
from kaggle_ray.train.lessons import Lessons
from kaggle_ray.train.run_data import RunData
from kaggle_ray.train.trial_data import MadeOf, TrainedElsewhere, TrialData
from kaggle_ray.types import FULL_DATA, Experiment, Trial, TrialResult


def trial_data(run: RunData, trial: Trial) -> TrialData:
    """Return what a ``trial`` is made of that is trained; the fold plan is in the order of the competition's samples.

    Raises:
        StoreError: the run has no such experiment, or the trial that it starts from is not committed.
    """
    experiment = run.committed.experiment(trial)
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    hyperparameters = _of_all_rows(run, trial, hyperparameters)
    opened, num_decoded = run.open_images(hyperparameters)
    lessons = Lessons(run, run.data_of_fold(trial, hyperparameters, opened))
    if experiment.labeller_id is not None:
        labeller = Trial(experiment_id=experiment.labeller_id, fold=trial.fold)
        lessons.add_pseudolabels(labeller, hyperparameters.pseudolabels, opened.test)
    if experiment.teacher_id is not None:
        teacher = Trial(experiment_id=experiment.teacher_id, fold=trial.fold)
        lessons.add_teacher(teacher, out_of_fold=hyperparameters.loss.distill_out_of_fold)
    parent_id = experiment.parent_id
    ancestor_ids = (parent_id, experiment.teacher_id, experiment.labeller_id)
    ancestors = [run.committed.ancestor(trial, each) for each in ancestor_ids if each is not None]
    return TrialData(
        hyperparameters=hyperparameters,
        fit=lessons.data,
        test=opened.test,
        test_rows=np.arange(len(run.samples.test_ids)),
        initial_weights=None if parent_id is None else run.committed.weights(trial, parent_id),
        ancestors=tuple(ancestors),
        pseudolabels=lessons.pseudolabels,
        started_from={
            **{name: digest_of_weights(file) for name, file in hyperparameters.model.weights_files.items()},
            **{name: digest for ancestor in ancestors for name, digest in ancestor.started_from.items()},
        },
        num_decoded=num_decoded + lessons.num_decoded,
        teachers=lessons.teachers,
    )


def trained_elsewhere(run: RunData, trial: Trial) -> TrainedElsewhere | None:
    """Return what ``trial`` predicts with, None where it is trained itself.

    Raises:
        StoreError: the run has no such experiment, or the trial whose weights it takes is not committed.
    """
    experiment = run.committed.experiment(trial)
    if experiment.weights_of is None:
        return None
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    result = run.committed.result(Trial(experiment_id=experiment.weights_of, fold=trial.fold))
    opened, num_decoded = run.open_images(hyperparameters)
    return TrainedElsewhere(
        hyperparameters=hyperparameters,
        result=result,
        epochs=(*_kept_epochs(run, experiment, result), None),
        train=opened.train,
        valid_rows=run.folds.valid_rows(trial.fold),
        test=opened.test,
        num_decoded=num_decoded,
    )


def made_of(run: RunData, trial: Trial) -> MadeOf | None:
    """Return what the weights of ``trial`` are a mean of, None where it is trained.

    Raises:
        StoreError: the run has no such experiment, or a trial whose weights it takes is not committed.
    """
    experiment = run.committed.experiment(trial)
    if not experiment.soup_ids:
        return None
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    of_fold = _of_all_rows(run, trial, hyperparameters)
    opened, num_decoded = run.open_images(of_fold)
    ids = experiment.soup_ids if trial.fold != FULL_DATA else _souped_by_most(run, experiment)
    results = tuple(run.committed.result(Trial(experiment_id=each, fold=trial.fold)) for each in ids)
    return MadeOf(
        hyperparameters=hyperparameters,
        results=results,
        method=hyperparameters.model.soup,
        fit=run.data_of_fold(trial, of_fold, opened),
        test=opened.test,
        num_decoded=num_decoded,
    )


def _kept_epochs(run: RunData, experiment: Experiment, result: TrialResult) -> tuple[int, ...]:
    """Return the epochs beside the last whose weights an experiment takes.

    One that was added when the run was over takes those that are left: what is not a member's was removed.
    """
    kept = epochs_with_weights(result)
    if experiment.experiment_id not in {each.experiment_id for each in run.store.added()}:
        return kept
    return tuple(epoch for epoch in kept if run.store.has_weights(result, epoch=epoch))


def _souped_by_most(run: RunData, experiment: Experiment) -> tuple[str, ...]:
    """Return the members of a soup that most folds have averaged; all, where none is in most of them."""
    folds = range(run.folds.num_folds)
    of_folds = [run.committed.result(Trial(experiment_id=experiment.experiment_id, fold=fold)) for fold in folds]
    times = Counter(each for result in of_folds for each in result.averaged_experiments)
    return tuple(each for each in experiment.soup_ids if 2 * times[each] > len(of_folds)) or experiment.soup_ids


def _of_all_rows(run: RunData, trial: Trial, hyperparameters: Hyperparameters) -> Hyperparameters:
    """Return what a trial of all rows is trained by, which has none to choose its epoch by; others as they are."""
    if trial.fold != FULL_DATA:
        return hyperparameters
    epochs = run.context.full_data_epochs[trial.experiment_id]
    kept = [epoch for epoch in hyperparameters.training.keep_epochs if epoch <= epochs]
    return hyperparameters.replace(
        epochs=epochs,
        epoch_rule="last",
        patience=0,
        average_best=1,
        swa_epochs=min(_last_epochs_averaged(hyperparameters), epochs),
        keep_epochs=kept,
    )


def _last_epochs_averaged(hyperparameters: Hyperparameters) -> int:
    """Return how many last epochs are averaged without rows to choose the best by; 0 where none is, or a moving one."""
    optimizer, num_best = hyperparameters.optimizer, hyperparameters.training.average_best
    return num_best if num_best > 1 and not optimizer.ema_decay else optimizer.swa_epochs
