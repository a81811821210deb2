"""A fold's data from a competition's samples and its fold plan."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRows:
    """A competition's training rows: what is the same of them in every fold, and at every size of their images."""

    competition: Competition
    """The competition, with the names that its files tell."""
    samples: Samples
    target: Rows
    """(N,) or (N, T) what predictions are scored against."""
    hashes: npt.NDArray[np.uint64]
    """(N * V,) hashes of their ids, see ``hashes_of``."""
    groups: StrArray | None = None
    """(N,) which rows an inner split keeps together; None where each is by itself."""

    def of_fold(
        self,
        folds: Folds,
        fold: int,
        hyperparameters: Hyperparameters,
        *,
        inputs: Inputs,
        masks: Images | None,
        moments: ImageMoments | None = None,
    ) -> FitData:
        """Return the data of one fold.

        Args:
            folds: the plan, in the order of the rows.
            fold: its number.
            hyperparameters: which say whether an inner split is held out.
            inputs: of all rows.
            masks: at the size that images are decoded to; None where no head segments.
            moments: of the images of ``inputs``, where they are known already.

        Raises:
            DataError: all rows that are trained on have the weight 0.
        """
        competition, samples = self.competition, self.samples
        train_rows, inner_rows = self._split(folds.train_rows(fold), hyperparameters)
        return FitData(
            inputs=inputs,
            target=self.target,
            heads=competition.heads,
            metric=competition.metric,
            train_rows=train_rows,
            inner_rows=inner_rows,
            valid_rows=folds.valid_rows(fold),
            fold=fold,
            id_hashes=self.hashes,
            masks=masks,
            mask_size=None if competition.mask is None else (competition.mask.height, competition.mask.width),
            sample_ids=samples.train_ids,
            weights=_scaled(samples.train_weights, train_rows),
            auxiliary_heads=competition.auxiliary_heads,
            auxiliary_target=samples.auxiliary_target,
            scale=_image_scale(competition, inputs, moments or ImageMoments(inputs.images), train_rows),
        )

    def _split(self, train_rows: IntArray, hyperparameters: Hyperparameters) -> tuple[IntArray, IntArray | None]:
        """Return the rows to train on, and those of them that are held out, None where none are."""
        training = hyperparameters.training
        if training.epoch_rule != "inner":
            return train_rows, None
        return inner_split(
            self.competition.folds.kind,
            self.samples,
            train_rows,
            share=training.inner_share,
            seed=training.seed,
            groups=self.groups,
            heads=self.competition.heads,
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
