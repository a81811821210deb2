"""Predicts with the weights of a trial that was trained just so: for experiments that only predict otherwise."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from kaggle_ray.config.settings import Settings
from kaggle_ray.decide import default_score
from kaggle_ray.rows import select_rows
from kaggle_ray.store.attempt import WEIGHTS_FILE, Attempt, kept_epochs, kept_file
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.process import gpu_name
from kaggle_ray.train.reload import reloaded
from kaggle_ray.train.run_data import RunData
from kaggle_ray.train.trial_data import TrainedElsewhere
from kaggle_ray.train.view_scores import PredictedViews
from kaggle_ray.types import StoredValues, TrialResult, ViewScore


def predict_only(
    attempt: Attempt, trained: TrainedElsewhere, data: RunData, store: RunStore, settings: Settings
) -> TrialResult:
    """Commit an attempt whose weights are those of another trial: the same bits as if it had been trained itself.

    It gets its own copy of the weights, those of kept epochs included, so that it is refitted, kept and asked for new
    rows as any other.

    Args:
        attempt: at the trial.
        trained: what it predicts with, and what it predicts.
        data: of the run.
        store: of the run.
        settings: of the run.

    Raises:
        CorruptBlobError: the weights are not those that were committed.
    """
    started = time.perf_counter()
    trial, result, lineage = attempt.trial, trained.result, store.lineage(trained.result)
    valid: StoredValues | None = None
    views: tuple[ViewScore, ...] = ()
    target = select_rows(data.target, trained.valid_rows)
    predicted = (*kept_epochs(result), None)
    for epoch in trained.epochs:
        weights = store.weights(result, epoch=epoch)
        attempt.put(kept_file(WEIGHTS_FILE, epoch), weights)
        if epoch not in predicted:
            continue
        predictor = reloaded(
            data.competition, data.samples, settings, trained.hyperparameters, weights, where=str(result.trial)
        )
        num_valid, num_test = len(trained.valid_rows), len(data.samples.test_ids)
        if num_valid and epoch is None and lineage.is_proven:
            with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
                seen = PredictedViews(
                    trained.hyperparameters, num_valid, Path(folder), are_masks=data.competition.is_segmentation
                )
                blocks = predictor.value_blocks(trained.train, trained.valid_rows, told=seen.take)
                valid = attempt.put_values("valid", blocks, num_rows=num_valid)
                views = seen.scores(data.competition.metric, target)
        elif num_valid:
            blocks = predictor.value_blocks(trained.train, trained.valid_rows)
            attempt.put_values("valid", blocks, num_rows=num_valid, epoch=epoch)
        blocks = predictor.value_blocks(trained.test, np.arange(num_test))
        attempt.put_values("test", blocks, num_rows=num_test, epoch=epoch)
    parents = tuple(dict.fromkeys((*lineage.parents, result.trial.experiment_id)))
    attempt.put_manifest(
        data.samples.train_ids[trained.valid_rows],
        data.samples.test_ids,
        replace(lineage, parents=parents),
    )
    score = None if valid is None else default_score(data.competition.metric, target, float_rows(valid))
    return attempt.commit(
        TrialResult(
            trial=trial,
            status="committed",
            attempt_id=attempt.attempt_id,
            history=result.history,
            epoch=result.epoch,
            averaged_epochs=result.averaged_epochs,
            averaged_experiments=result.averaged_experiments,
            num_resumed=len(result.history),
            score=score,
            duration_s=time.perf_counter() - started,
            num_decoded=trained.num_decoded,
            process_id=os.getpid(),
            views=views,
            model_size=data.model_size(trained.hyperparameters),
            gpu=gpu_name(settings),
        )
    )
