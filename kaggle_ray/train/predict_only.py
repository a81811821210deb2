"""Predicts with the weights of a trial that was trained just so: for experiments that only predict otherwise."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kaggle_ray.config.settings import Settings
from kaggle_ray.decide import default_score
from kaggle_ray.rows import select_rows
from kaggle_ray.store.attempt import WEIGHTS_FILE, Attempt, kept_epochs, kept_file
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.predict import Predictor
from kaggle_ray.train.process import gpu_name
from kaggle_ray.train.reload import reloaded
from kaggle_ray.train.run_data import RunData
from kaggle_ray.train.trial_data import TrainedElsewhere
from kaggle_ray.train.view_scores import PredictedViews
from kaggle_ray.types import TrialResult, ViewScore


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
    result, lineage = trained.result, store.lineage(trained.result)
    scored, predicted = _Scored(), (*kept_epochs(result), None)
    for epoch in trained.epochs:  # the end comes last
        weights = store.weights(result, epoch=epoch)
        attempt.put(kept_file(WEIGHTS_FILE, epoch), weights)
        if epoch in predicted:
            predictor = reloaded(
                data.competition, data.samples, settings, trained.hyperparameters, weights, where=str(result.trial)
            )
            is_scored = epoch is None and lineage.is_proven
            scored = _put_predictions(attempt, predictor, trained, data, epoch, is_scored=is_scored)
    parents = tuple(dict.fromkeys((*lineage.parents, result.trial.experiment_id)))
    attempt.put_manifest(
        data.samples.train_ids[trained.valid_rows],
        data.samples.test_ids,
        replace(lineage, parents=parents),
    )
    return attempt.commit(
        TrialResult(
            trial=attempt.trial,
            status="committed",
            attempt_id=attempt.attempt_id,
            history=result.history,
            epoch=result.epoch,
            averaged_epochs=result.averaged_epochs,
            averaged_experiments=result.averaged_experiments,
            num_resumed=len(result.history),
            score=scored.score,
            duration_s=time.perf_counter() - started,
            num_decoded=trained.num_decoded,
            process_id=os.getpid(),
            views=scored.views,
            model_size=data.model_sizes.of(trained.hyperparameters),
            gpu=gpu_name(settings),
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scored:
    """What the rows of the fold say of the weights, where that is honest."""

    score: float | None = None
    views: tuple[ViewScore, ...] = ()


def _put_predictions(
    attempt: Attempt, predictor: Predictor, trained: TrainedElsewhere, data: RunData, epoch: int | None, *,
    is_scored: bool,
) -> _Scored:  # fmt: skip
    """Write what the weights of one epoch predict of the fold's rows and of the test rows; score them where asked."""
    scored, num_valid, num_test = _Scored(), len(trained.valid_rows), len(data.samples.test_ids)
    if num_valid and is_scored:
        scored = _put_scored(attempt, predictor, trained, data)
    elif num_valid:
        blocks = predictor.value_blocks(trained.train, trained.valid_rows)
        attempt.put_values("valid", blocks, num_rows=num_valid, epoch=epoch)
    blocks = predictor.value_blocks(trained.test, np.arange(num_test))
    attempt.put_values("test", blocks, num_rows=num_test, epoch=epoch)
    return scored


def _put_scored(attempt: Attempt, predictor: Predictor, trained: TrainedElsewhere, data: RunData) -> _Scored:
    """Write what the weights of the end predict of the fold's rows; return their score, and what each view is worth."""
    rows, metric = trained.valid_rows, data.competition.metric
    target = select_rows(data.target, rows)
    with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
        seen = PredictedViews(
            trained.hyperparameters, len(rows), Path(folder), are_masks=data.competition.is_segmentation
        )
        blocks = predictor.value_blocks(trained.train, rows, told=seen.take)
        valid = attempt.put_values("valid", blocks, num_rows=len(rows))
        return _Scored(score=default_score(metric, target, float_rows(valid)), views=seen.scores(metric, target))
