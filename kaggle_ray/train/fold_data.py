"""A fold's data from a competition's samples and its fold plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from kaggle_ray.config import Hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.inner import inner_split
from kaggle_ray.data.normalization import Normalization
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import DataError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.images.datasets import open_test, open_train
from kaggle_ray.images.moments import ImageMoments, ImageScale
from kaggle_ray.models import Shapes
from kaggle_ray.rows import Rows
from kaggle_ray.train.inputs import FitData, Inputs, shapes_of_heads
from kaggle_ray.types import Float64Array, FloatArray, Folds, IntArray, StrArray


def hashes_of(samples: Samples) -> npt.NDArray[np.uint64]:
    """Return (N * V,) the hashes of the training samples' ids, a sample's views one after the other."""
    return _hashes(samples.train_ids, samples.num_views, samples.train_counts)


def test_hashes_of(samples: Samples) -> npt.NDArray[np.uint64]:
    """Return (T * V,) the same of the test rows."""
    return _hashes(samples.test_ids, samples.num_views, samples.test_counts)


def _hashes(sample_ids: StrArray, num_views: int, counts: IntArray | None) -> npt.NDArray[np.uint64]:
    numbers = [num_views] * len(sample_ids) if counts is None else counts.tolist()
    ids = zip(sample_ids.tolist(), numbers, strict=True)
    return id_hashes(
        [f"{sample_id}/{view}" if view else sample_id for sample_id, of_id in ids for view in range(of_id)]
    )


def shapes_of(competition: Competition, samples: Samples) -> Shapes:
    """Return what a model of a competition has to take and give."""
    table = samples.train_table
    return shapes_of_heads(
        competition.heads,
        competition.auxiliary_heads,
        num_channels=competition.channels,
        num_views=samples.num_views,
        num_table_columns=0 if table is None else len(table.columns),
    )


def train_inputs(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Inputs:
    """Return the training rows' images, decoded to ``sides``, height and width in pixels, and their table."""
    table = samples.train_table
    return Inputs(
        images=open_train(competition, samples, sides, cache_dir),
        num_views=samples.num_views,
        counts=samples.train_counts,
        table=None if table is None else table.values,
    )


def test_inputs(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Inputs:
    """Return the same of the rows to predict."""
    table = samples.test_table
    return Inputs(
        images=open_test(competition, samples, sides, cache_dir),
        num_views=samples.num_views,
        counts=samples.test_counts,
        table=None if table is None else table.values,
    )


def fold_data(
    competition: Competition,
    samples: Samples,
    folds: Folds,
    fold: int,
    hyperparameters: Hyperparameters,
    *,
    inputs: Inputs,
    masks: Images | None,
    target: Rows,
    groups: StrArray | None,
    hashes: npt.NDArray[np.uint64],
    moments: ImageMoments | None = None,
) -> FitData:
    """Return the data of one fold; the fold plan is in the order of the competition's samples.

    Args:
        competition: with the names that its files tell.
        samples: its rows.
        folds: the plan.
        fold: its number.
        hyperparameters: which say whether an inner split is held out.
        inputs: of all training rows.
        masks: at the size that images are decoded to; None where no head segments.
        target: what predictions are scored against, of all training rows.
        groups: rows that an inner split keeps together.
        hashes: of all training rows' ids.
        moments: of the images of ``inputs``, where they are known already.
    """
    mask, train_rows, inner_rows = competition.mask, folds.train_rows(fold), None
    if hyperparameters.training.epoch_rule == "inner":
        train_rows, inner_rows = inner_split(
            competition.folds.kind,
            samples,
            train_rows,
            share=hyperparameters.training.inner_share,
            seed=hyperparameters.training.seed,
            groups=groups,
            heads=competition.heads,
        )
    return FitData(
        inputs=inputs,
        target=target,
        heads=competition.heads,
        metric=competition.metric,
        train_rows=train_rows,
        inner_rows=inner_rows,
        valid_rows=folds.valid_rows(fold),
        fold=fold,
        id_hashes=hashes,
        masks=masks,
        mask_size=None if mask is None else (mask.height, mask.width),
        sample_ids=samples.train_ids,
        weights=_scaled(samples.train_weights, train_rows),
        auxiliary_heads=competition.auxiliary_heads,
        auxiliary_target=samples.auxiliary_target,
        scale=_image_scale(competition, inputs, moments or ImageMoments(inputs.images), train_rows),
    )


def _scaled(weights: Float64Array | None, train_rows: IntArray) -> FloatArray | None:
    """Return (N,) float32 the weights of the rows, of a mean of 1 over those to train on."""
    if weights is None:
        return None
    mean = weights[train_rows].mean()
    if not mean:
        raise DataError(f"all {counted(len(train_rows), 'row')} that a fold trains on have the weight 0.")
    return np.asarray(weights / mean, dtype=np.float32)


def _image_scale(
    competition: Competition, inputs: Inputs, moments: ImageMoments, train_rows: IntArray
) -> ImageScale | None:
    """Return what images are normalised with, None where the network's library tells it."""
    declared = competition.normalization
    if isinstance(declared, Normalization):
        return ImageScale(mean=np.array(declared.mean, np.float32), std=np.array(declared.std, np.float32))
    if declared is None and (competition.reader is None or inputs.dtype == np.uint8):
        return None
    return moments.scale(inputs.views(train_rows), rows=train_rows)
