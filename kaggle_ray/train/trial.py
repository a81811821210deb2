"""Runs one trial from the store to its commit: what every launcher calls, in whatever process."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator
from functools import cached_property

import numpy as np
from safetensors.torch import save

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.data.competition import Competition, Samples, load_competition, read_samples
from kaggle_ray.data.folds import folds_from_csv
from kaggle_ray.errors import NonFiniteLossError, StoreError
from kaggle_ray.images.cache import CachedImages, cached_images
from kaggle_ray.store.run import WEIGHTS_FILE, Attempt, RunStore
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.loop import Fit, FitData, fit
from kaggle_ray.train.predict import predict_probabilities
from kaggle_ray.types import EpochMetrics, FloatArray, Folds, IntArray, Lineage, Predictions, Trial, TrialResult

logger = logging.getLogger(__name__)


class TrialRunner:
    """Runs trials one after the other in this process; what they share is loaded once."""

    def __init__(self, context: TrialContext) -> None:
        """Nothing is loaded before the first trial."""
        self._context = context
        self._store = RunStore(context.run_dir)
        self._images: dict[int, tuple[CachedImages, CachedImages]] = {}

    @cached_property
    def _competition(self) -> Competition:
        return load_competition(self._context.competition_file)[0]

    @cached_property
    def _samples(self) -> Samples:
        return read_samples(self._competition, self._context.data_dir)

    @cached_property
    def _folds(self) -> Folds:
        csv, record = self._store.folds_csv(), self._store.record()
        if csv is None or record is None:
            raise StoreError(f"{self._context.run_dir}: is no run: run.json or folds.csv is missing.")
        return folds_from_csv(
            csv,
            expected_digest=record["folds_digest"],
            scheme=self._competition.folds,
            sample_ids=self._samples.train_ids,
            target=self._samples.target,
            train_only=self._samples.train_only,
            test_ids=self._samples.test_ids,
        )

    def run(self, trial: Trial) -> Generator[EpochMetrics, None, TrialResult]:
        """Train, predict and commit ``trial``, yielding each epoch's measures; the generator's value is the result.

        An error of the trial's own becomes a failed result, so that the others go on. It is committed where the trial
        would fail the same way again, otherwise the next run of the same command repeats the trial.
        """
        attempt = self._store.attempt(trial)
        started = time.perf_counter()
        history: list[EpochMetrics] = []
        try:
            return (yield from self._run(trial, attempt, history, started))
        except Exception as error:
            repeatable = isinstance(error, NonFiniteLossError)
            if not repeatable:
                logger.exception("trial %s failed", trial)
            failed = TrialResult(
                trial=trial,
                status="failed",
                attempt_id=attempt.attempt_id,
                history=tuple(history),
                duration_s=time.perf_counter() - started,
                process_id=os.getpid(),
                error=str(error) if repeatable else f"{type(error).__name__}: {error}",
            )
            return attempt.commit(failed) if repeatable else failed

    def _run(
        self, trial: Trial, attempt: Attempt, history: list[EpochMetrics], started: float
    ) -> Generator[EpochMetrics, None, TrialResult]:
        hyperparameters = self._hyperparameters(trial)
        (train_images, test_images), num_decoded = self._open_images(hyperparameters.image_size)
        data = self._fit_data(trial.fold, train_images)
        epochs = fit(data, hyperparameters, self._context.settings)
        while True:
            if history and self._is_late():
                return TrialResult(
                    trial=trial, status="stopped", attempt_id=attempt.attempt_id, history=tuple(history),
                    duration_s=time.perf_counter() - started, num_decoded=num_decoded, process_id=os.getpid(),
                )  # fmt: skip
            try:
                history.append(next(epochs))
            except StopIteration as stop:
                fitted: Fit = stop.value
                break
            yield history[-1]
        valid, test = self._predict(data, fitted, hyperparameters, test_images, attempt)
        attempt.put_predictions(valid, test)
        return attempt.commit(
            TrialResult(
                trial=trial,
                status="committed",
                attempt_id=attempt.attempt_id,
                history=tuple(history),
                score=data.metric.score(data.target[data.valid_rows], valid.values),
                duration_s=time.perf_counter() - started,
                num_decoded=num_decoded,
                process_id=os.getpid(),
            )
        )

    def _hyperparameters(self, trial: Trial) -> Hyperparameters:
        for experiment in self._store.experiments():
            if experiment.experiment_id == trial.experiment_id:
                return parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        raise StoreError(f"{self._context.run_dir}: has no experiment {trial.experiment_id}.")

    def _open_images(self, size: int) -> tuple[tuple[CachedImages, CachedImages], int]:
        """Return the training and the test images, and how many of them had to be decoded now."""
        if size in self._images:
            return self._images[size], 0
        train = cached_images(self._samples.train_paths, size, self._context.cache_dir)
        test = cached_images(self._samples.test_paths, size, self._context.cache_dir)
        self._images[size] = (train, test)
        return self._images[size], train.num_decoded + test.num_decoded

    def _fit_data(self, fold: int, images: CachedImages) -> FitData:
        """Return the fold's data; the fold plan is in the order of the competition's samples."""
        return FitData(
            pixels=images.pixels,
            target=self._samples.target,
            train_rows=self._folds.train_rows(fold),
            valid_rows=self._folds.valid_rows(fold),
            task=self._competition.task,
            num_columns=self._competition.num_columns,
            metric=self._competition.metric,
            fold=fold,
        )

    def _predict(
        self, data: FitData, fitted: Fit, hyperparameters: Hyperparameters, test_images: CachedImages, attempt: Attempt
    ) -> tuple[Predictions, Predictions]:
        """Write the weights; return the predictions of the fold's rows and of the test rows."""
        weights = {name: tensor.contiguous() for name, tensor in fitted.model.state_dict().items()}
        lineage = Lineage(
            folds_digest=self._folds.digest,
            trained_rows=fitted.trained_rows,
            weights_digest=attempt.put(WEIGHTS_FILE, save(weights)),
        )
        samples = self._samples

        def predict(images: CachedImages, rows: IntArray) -> FloatArray:
            return predict_probabilities(
                fitted.model, images.pixels, rows, task=data.task, tta=hyperparameters.tta,
                size=hyperparameters.predict_size,
                batch_size=hyperparameters.batch_size, settings=self._context.settings,
            )  # fmt: skip

        valid = predict(CachedImages(pixels=data.pixels, num_decoded=0), data.valid_rows)
        test = predict(test_images, np.arange(len(samples.test_ids)))
        return (
            Predictions(sample_ids=samples.train_ids[data.valid_rows], values=valid, lineage=lineage),
            Predictions(sample_ids=samples.test_ids, values=test, lineage=lineage),
        )

    def _is_late(self) -> bool:
        return self._context.stop_at is not None and time.time() > self._context.stop_at
