"""What a trial learns from beside its labels: answers of teachers, and test rows with pseudolabels.

All of it is what committed trials say that have not seen the rows which the trial is scored on.

Shape legend: N training rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kaggle_ray.config import PseudolabelHyperparameters, parse_hyperparameters
from kaggle_ray.pool.ledger import rows_in
from kaggle_ray.store.attempt import TEST_FILE
from kaggle_ray.train.fold_data import test_hashes_of
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.pseudolabels import with_pseudolabels
from kaggle_ray.train.reload import reloaded
from kaggle_ray.train.run_data import RunData
from kaggle_ray.train.teachers import TeacherFit, as_one_fold, fold_pairs
from kaggle_ray.types import FULL_DATA, TRAIN_ONLY, FloatArray, IntArray, PseudolabelSource, Trial


class Lessons:
    """A trial's data, to which lessons are added; pseudolabels first, which a teacher answers for, too."""

    def __init__(self, run: RunData, data: FitData) -> None:
        """Begin with the data of labels alone, of a trial of the run."""
        self._run = run
        self.data = data
        """The data with all lessons but those of ``teachers``."""
        self.pseudolabels: tuple[PseudolabelSource, ...] = ()
        self.teachers: tuple[TeacherFit, ...] = ()
        """Teachers that are still to be fitted, and then asked of the rows of other folds."""
        self.num_decoded = 0
        """Images that had to be decoded for teachers."""

    def add_pseudolabels(self, labeller: Trial, given: PseudolabelHyperparameters, test: Inputs) -> None:
        """Add test rows to train on, whose labels are what ``labeller`` predicts of them."""
        run = self._run
        result = run.committed.result(labeller)
        _, predicted = run.store.predictions(result)
        order = rows_in(predicted.sample_ids, run.samples.test_ids, where=f"{labeller} on the test set")
        self.data = with_pseudolabels(
            self.data,
            predicted.values if (order == np.arange(len(order))).all() else predicted.values[order],
            given,
            test=test,
            test_ids=run.samples.test_ids,
            id_hashes=test_hashes_of(run.samples),
            mask=run.competition.mask,
            where=str(labeller),
        )
        assert self.data.pseudolabelled is not None
        num_rows = len(self.data.pseudolabelled.rows)
        self.pseudolabels = (PseudolabelSource(trial=labeller, digest=result.blobs[TEST_FILE], num_rows=num_rows),)

    def add_teacher(self, teacher: Trial, *, out_of_fold: bool) -> None:
        """Add what the teacher's model of the same fold says of the rows to train on.

        With ``out_of_fold`` no row's answer is of a model that has seen it. Of rows that some fold scores it is then
        that of ``teachers``; a student of all rows learns what the folds' own models have said of their scored rows.
        Rows that no fold scores, and test rows, are answered for as without it.
        """
        rows = self.data.train_rows
        if out_of_fold:
            rows = rows[self._run.folds.fold_of[rows] == TRAIN_ONLY]
        answers_NC = self._answers(teacher, rows)
        if out_of_fold and teacher.fold == FULL_DATA:
            for of_fold, values in self._scored(teacher.experiment_id):
                answers_NC[of_fold] = values
        elif out_of_fold:
            self.teachers = tuple(self._left_out(teacher))
        self.data = replace(self.data, teacher=answers_NC)

    def _answers(self, teacher: Trial, train_rows: IntArray) -> FloatArray:
        """Return (N, C) what the model of ``teacher`` says of some training rows and of the test rows to train on."""
        run, pseudolabelled = self._run, self.data.pseudolabelled
        answers_NC = np.zeros((self.data.num_rows, run.competition.num_columns), dtype=np.float32)
        if not len(train_rows) and pseudolabelled is None:
            return answers_NC
        experiment = run.committed.experiment(teacher)
        hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        opened, num_decoded = run.open_images(hyperparameters)
        self.num_decoded += num_decoded
        weights = run.store.weights(run.committed.result(teacher))
        predictor = reloaded(
            run.competition, run.samples, run.context.settings, hyperparameters, weights, where=str(teacher)
        )
        if len(train_rows):
            answers_NC[train_rows] = predictor.values(opened.train, train_rows)
        if pseudolabelled is not None:
            rows = pseudolabelled.rows
            answers_NC[rows] = predictor.values(opened.test, rows - pseudolabelled.first)
        return answers_NC

    def _scored(self, experiment_id: str) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield the scored rows (n,) of each fold, and (n, C) what an experiment's model of the fold said of them."""
        run = self._run
        for fold in range(run.folds.num_folds):
            trial, rows = Trial(experiment_id=experiment_id, fold=fold), run.folds.valid_rows(fold)
            predicted, _ = run.store.predictions(run.committed.result(trial))
            order = rows_in(predicted.sample_ids, run.samples.train_ids[rows], where=f"{trial} out of fold")
            yield rows, np.asarray(predicted.values[order], dtype=np.float32)

    def _left_out(self, teacher: Trial) -> Iterator[TeacherFit]:
        """Yield the fits without the fold of ``teacher``, and its student, and without one of the others."""
        run = self._run
        experiment = run.committed.experiment(teacher)
        hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        opened, num_decoded = run.open_images(hyperparameters)
        self.num_decoded += num_decoded
        for lower, upper in fold_pairs(teacher.fold, run.folds.num_folds):
            trial = Trial(experiment_id=teacher.experiment_id, fold=lower)
            fit = run.data_of_fold(trial, hyperparameters, opened, as_one_fold(run.folds, lower, upper))
            yield TeacherFit(
                experiment_id=teacher.experiment_id,
                hyperparameters=hyperparameters,
                fit=replace(fit, valid_rows=fit.valid_rows[:0]),
                rows=fit.valid_rows,
                folds_digest=run.folds.digest,
            )
