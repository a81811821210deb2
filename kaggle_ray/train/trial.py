"""Runs one trial from the store to its commit: what every launcher calls, in whatever process."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from safetensors.torch import load, save
from torch import Tensor

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.data.competition import Competition, Samples, load_competition, open_competition
from kaggle_ray.data.folds import folds_from_csv
from kaggle_ray.data.quarantine import without_rows, without_unreadable
from kaggle_ray.data.staging import stage_data
from kaggle_ray.data.twin_groups import Twins
from kaggle_ray.decide import default_score
from kaggle_ray.errors import NonFiniteLossError, StoreError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.images.opened import open_masks, open_target, open_test, open_train
from kaggle_ray.images.unreadable import placeholder_image
from kaggle_ray.store.predictions import as_floats
from kaggle_ray.store.run import WEIGHTS_FILE, Attempt, RunStore
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit, fit
from kaggle_ray.types import (
    BoolArray,
    EpochMetrics,
    Experiment,
    Folds,
    Lineage,
    Predictions,
    Target,
    Trial,
    TrialResult,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _OpenedImages:
    """A competition's images at one size."""

    train: Inputs
    test: Inputs
    masks: Images | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parent:
    """What a trial inherits."""

    experiment_ids: tuple[str, ...]
    """The first ancestor first."""
    weights: Mapping[str, Tensor]
    trained_rows: BoolArray


class TrialRunner:
    """Runs trials one after the other in this process; what they share is loaded once."""

    def __init__(self, context: TrialContext) -> None:
        """Nothing is loaded before the first trial."""
        self._context = context
        self._store = RunStore(context.run_dir)
        self._opened: dict[tuple[int, int], _OpenedImages] = {}

    @cached_property
    def _competition_and_samples(self) -> tuple[Competition, Samples]:
        declared, _ = load_competition(self._context.competition_file)
        data_dir = stage_data(self._context.data, cache_dir=self._context.cache_dir)
        competition, samples = open_competition(declared, data_dir)
        unreadable = [data_dir / name for name in self._store.unreadable()]
        if unreadable:
            placeholder = placeholder_image(self._context.cache_dir, channels=competition.channels)
            samples = without_unreadable(samples, unreadable, placeholder=placeholder)
        return competition, without_rows(samples, Twins.from_json(self._store.twins()).left_out)

    @property
    def _competition(self) -> Competition:
        return self._competition_and_samples[0]

    @property
    def _samples(self) -> Samples:
        return self._competition_and_samples[1]

    @cached_property
    def _target(self) -> Target:
        return open_target(self._competition, self._samples, self._context.cache_dir)[0]

    @cached_property
    def _id_hashes(self) -> npt.NDArray[np.uint64]:
        ids = self._samples.train_ids.tolist()
        views = range(self._samples.num_views)
        return id_hashes([sample_id if not view else f"{sample_id}/{view}" for sample_id in ids for view in views])

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
            groups=self._samples.groups,
            times=self._samples.times,
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
        experiment = self._experiment(trial)
        hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        opened, num_decoded = self._open(hyperparameters)
        data = self._fit_data(trial.fold, opened)
        parent = self._parent(trial, experiment.parent_id)
        initial_weights = None if parent is None else parent.weights
        epochs = fit(data, hyperparameters, self._context.settings, initial_weights=initial_weights)
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
        lineage = Lineage(
            folds_digest=self._folds.digest,
            trained_rows=fitted.trained_rows if parent is None else fitted.trained_rows | parent.trained_rows,
            parents=() if parent is None else parent.experiment_ids,
            weights_digest=attempt.put(WEIGHTS_FILE, save(dict(fitted.weights))),
        )
        valid_values = fitted.predictor.values(data.inputs, data.valid_rows)
        test_values = fitted.predictor.values(opened.test, np.arange(len(self._samples.test_ids)))
        attempt.put_predictions(
            Predictions(sample_ids=self._samples.train_ids[data.valid_rows], values=valid_values, lineage=lineage),
            Predictions(sample_ids=self._samples.test_ids, values=test_values, lineage=lineage),
        )
        return attempt.commit(
            TrialResult(
                trial=trial,
                status="committed",
                attempt_id=attempt.attempt_id,
                history=tuple(history),
                score=default_score(data.metric, data.target[data.valid_rows], as_floats(valid_values)),
                duration_s=time.perf_counter() - started,
                num_decoded=num_decoded,
                process_id=os.getpid(),
            )
        )

    def _experiment(self, trial: Trial) -> Experiment:
        for experiment in self._store.experiments():
            if experiment.experiment_id == trial.experiment_id:
                return experiment
        raise StoreError(f"{self._context.run_dir}: has no experiment {trial.experiment_id}.")

    def _open(self, hyperparameters: Hyperparameters) -> tuple[_OpenedImages, int]:
        """Return the images at the experiment's size, and how many of them had to be decoded now."""
        sides = hyperparameters.sides(hyperparameters.image_size)
        if sides in self._opened:
            return self._opened[sides], 0
        of_run = (self._competition, self._samples, sides, self._context.cache_dir)
        train, test, masks = open_train(*of_run), open_test(*of_run), open_masks(*of_run)
        num_views = self._samples.num_views
        tables = [
            None if table is None else table.values for table in (self._samples.train_table, self._samples.test_table)
        ]
        self._opened[sides] = _OpenedImages(
            train=Inputs(images=train, num_views=num_views, table=tables[0]),
            test=Inputs(images=test, num_views=num_views, table=tables[1]),
            masks=masks,
        )
        return self._opened[sides], train.num_decoded + test.num_decoded + (masks.num_decoded if masks else 0)

    def _fit_data(self, fold: int, opened: _OpenedImages) -> FitData:
        """Return the fold's data; the fold plan is in the order of the competition's samples."""
        mask = self._competition.mask
        return FitData(
            inputs=opened.train,
            target=self._target,
            heads=self._competition.heads,
            metric=self._competition.metric,
            train_rows=self._folds.train_rows(fold),
            valid_rows=self._folds.valid_rows(fold),
            fold=fold,
            id_hashes=self._id_hashes,
            masks=opened.masks,
            mask_size=None if mask is None else (mask.height, mask.width),
        )

    def _parent(self, trial: Trial, experiment_id: str | None) -> _Parent | None:
        """Return what the trial inherits from the same fold of the experiment that it starts from.

        Raises:
            StoreError: that trial is not committed.
        """
        if experiment_id is None:
            return None
        of_parent = Trial(experiment_id=experiment_id, fold=trial.fold)
        result = self._store.result(of_parent)
        if result is None or result.status != "committed":
            raise StoreError(f"{trial}: starts from the weights of {of_parent}, which is not committed.")
        lineage = self._store.predictions(result)[0].lineage
        assert lineage is not None, "a committed trial has a lineage"
        return _Parent(
            experiment_ids=(*lineage.parents, experiment_id),
            weights=load(self._store.weights(result)),
            trained_rows=lineage.trained_rows,
        )

    def _is_late(self) -> bool:
        return self._context.stop_at is not None and time.time() > self._context.stop_at
