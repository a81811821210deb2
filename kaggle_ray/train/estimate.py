"""Estimates how long a trial takes by training a few steps on made-up pixels."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.competition import Competition
from kaggle_ray.settings import Settings
from kaggle_ray.train.loop import FitData, fit

_NUM_BATCHES = 4


def seconds_per_trial(
    competition: Competition, num_rows: int, hyperparameters: Hyperparameters, settings: Settings
) -> float:
    """Return the estimated seconds of one trial over ``num_rows`` rows, from the second of two short epochs.

    An epoch of training and scoring takes as long per image as the measured one; decoding, start-up and the prediction
    of the test set come on top.
    """
    size, batch = hyperparameters.image_size, hyperparameters.batch_size
    num_train, num_valid = batch * _NUM_BATCHES, batch
    rng = np.random.default_rng(0)
    rows = np.arange(num_train + num_valid)
    data = FitData(
        pixels=rng.integers(0, 256, (len(rows), size, size, 3), dtype=np.uint8),
        target=rows % len(competition.classes),
        train_rows=rows[:num_train],
        valid_rows=rows[num_train:],
        task=competition.task,
        num_columns=competition.num_columns,
        metric=competition.metric,
        fold=0,
    )
    epochs = fit(data, dataclasses.replace(hyperparameters, epochs=2), settings)
    next(epochs)
    started = time.perf_counter()
    next(epochs)
    per_image = (time.perf_counter() - started) / len(rows)
    epochs.close()
    return per_image * num_rows * hyperparameters.epochs
