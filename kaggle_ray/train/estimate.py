"""Estimates how long an experiment takes by training a few steps on made-up pixels."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.images.cache import Images
from kaggle_ray.train.feature_sets import sets_of_epochs
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit

_NUM_BATCHES = 4
_LEAST_S, _MOST_EPOCHS = 0.5, 6
"""Epochs are timed for so long, and so many of them at most: on a busy machine a tenth of a second tells little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """How long an experiment's trials are expected to take."""

    trial_s: float = 0.0
    """Seconds of one trial, once the features are there that it shares with others."""
    features_s: Mapping[str, float] = field(default_factory=dict)
    """Each set of a frozen backbone's features -> the seconds in which it is computed: once for all trials of this
    experiment, and of those that name the same set."""
    weights_bytes: int = 0
    """Bytes of a file of the network's weights."""
    num_weights: int = 1
    """Files of weights that a trial leaves: of its end, and of each epoch that is kept."""
    start_s: float = 0.0
    """Seconds that this process needed before its first epoch, and longer for it than for the next: what is imported
    and made ready. A process that has trained already needs hardly any."""


def estimate(
    competition: Competition, samples: Samples, hyperparameters: Hyperparameters, settings: Settings
) -> Estimate:
    """Return the estimated times of an experiment over all rows, from a few short epochs on noise; nothing is kept.

    An epoch of training and scoring takes as long per image as those after the first, and each row that a trial
    predicts in the end, of its fold and of the test set, as long as one of the noise by all views. Decoding comes on
    top. Frozen features take as long per image and view as those of the noise.
    """
    data = made_up_data(competition, samples, hyperparameters)
    short = hyperparameters.replace(
        epochs=1 + _MOST_EPOCHS,
        evaluate_every=1,
        epoch_rule="last",
        patience=0,
        average_best=1,
        keep_epochs=[],
        init_from={},
        distill_from={},
        freeze_epochs=0,
        swa_epochs=0,
        schedule="constant",
        schedule_args={},
        augment_copies=min(1, hyperparameters.images.augment_copies),  # the second epoch takes what the first computed
    )
    with TemporaryDirectory() as cache_dir:
        began = time.perf_counter()
        fit = Fit(data, short, dataclasses.replace(settings, world_size=1), cache_dir=Path(cache_dir))
        started = time.perf_counter()
        fit.predictor.prepare(data.inputs)
        num_prepared = data.inputs.images.shape[0] * len(short.predict.views(short.images))
        prepared_s = time.perf_counter() - started
        epochs = fit.epochs()
        next(epochs)
        first_s = time.perf_counter() - began - prepared_s
        epoch_s = _seconds_per_epoch(epochs)
        started = time.perf_counter()
        fit.predictor.values(data.inputs, data.valid_rows)
        per_prediction = (time.perf_counter() - started) / len(data.valid_rows)
    features = dict(chain.from_iterable(each.items() for each in sets_of_epochs(hyperparameters, samples)))
    per_image = epoch_s / (len(data.train_rows) + len(data.valid_rows))
    num_train = len(samples.train_ids)
    num_predicted = len(samples.test_ids) + num_train // competition.folds.num_folds
    return Estimate(
        weights_bytes=sum(tensor.nbytes for tensor in fit.weights.values()),
        trial_s=per_image * num_train * hyperparameters.training.epochs + per_prediction * num_predicted,
        features_s={looked_at: prepared_s / num_prepared * num_images for looked_at, num_images in features.items()},
        start_s=max(0.0, first_s - epoch_s),
    )


def _seconds_per_epoch(epochs: Iterator[object]) -> float:
    """Return how long one epoch takes, of as many as make up a time that can be told."""
    started, taken_s, num_epochs = time.perf_counter(), 0.0, 0
    for _ in islice(epochs, _MOST_EPOCHS):
        taken_s, num_epochs = time.perf_counter() - started, num_epochs + 1
        if taken_s >= _LEAST_S:
            break
    return taken_s / num_epochs


def made_up_data(competition: Competition, samples: Samples, hyperparameters: Hyperparameters) -> FitData:
    """Return a few batches of noise in the shapes of the competition, with the targets and tables of real rows."""
    batch, counts = hyperparameters.training.batch_size, samples.train_counts
    num_views = samples.num_views if counts is None else max(2, round(counts.mean()))
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
