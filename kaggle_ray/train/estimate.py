"""Estimates how long a trial takes by training a few steps on made-up pixels."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.images.cache import Images
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit

_NUM_BATCHES = 4


def seconds_per_trial(
    competition: Competition, samples: Samples, hyperparameters: Hyperparameters, settings: Settings
) -> float:
    """Return the estimated seconds of one trial over all training rows, from the second of two short epochs.

    An epoch of training and scoring takes as long per image as the measured one; decoding, start-up and the prediction
    of the test set come on top.
    """
    data = made_up_data(competition, samples, hyperparameters)
    short = hyperparameters.replace(
        epochs=2,
        evaluate_every=1,
        epoch_rule="last",
        patience=0,
        init_from={},
        distill_from={},
        freeze_epochs=0,
        swa_epochs=0,
        schedule="constant",
        schedule_args={},
    )
    epochs = Fit(data, short, dataclasses.replace(settings, world_size=1)).epochs()
    next(epochs)
    started = time.perf_counter()
    next(epochs)
    num_rows = len(data.train_rows) + len(data.valid_rows)
    per_image = (time.perf_counter() - started) / num_rows
    return per_image * len(samples.train_ids) * hyperparameters.training.epochs


def made_up_data(competition: Competition, samples: Samples, hyperparameters: Hyperparameters) -> FitData:
    """Return a few batches of noise in the shapes of the competition, with the targets and tables of real rows."""
    batch, num_views = hyperparameters.training.batch_size, samples.num_views
    rows = np.arange(batch * (_NUM_BATCHES + 1))
    real = rows % len(samples.train_ids)
    height, width = hyperparameters.images.decoded_sides
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (len(rows) * num_views, height, width, competition.channels), dtype=np.uint8)
    mask, table = competition.mask, samples.train_table
    masks = noise[..., :1] % max(2, len(competition.mask_head.classes))
    kept = None if mask is None else (mask.height, mask.width)
    return FitData(
        inputs=Inputs(
            images=Images.of_array(noise), num_views=num_views, table=None if table is None else table.values[real]
        ),
        target=samples.target[real] if kept is None else np.zeros((len(rows), kept[0] * kept[1]), dtype=np.uint8),
        heads=competition.heads,
        metric=competition.metric,
        train_rows=rows[: batch * _NUM_BATCHES],
        valid_rows=rows[batch * _NUM_BATCHES :],
        fold=0,
        id_hashes=np.arange(len(rows) * num_views, dtype=np.uint64),
        masks=None if samples.train_masks is None else Images.of_array(masks),
        mask_size=kept,
        auxiliary_heads=competition.auxiliary_heads,
        auxiliary_target=None if samples.auxiliary_target is None else samples.auxiliary_target[real],
    )
