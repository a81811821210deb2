"""What a fit sees of the competition: images, a table beside them, and targets, all by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaggle_ray.data.head import Head
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.joined import ImageRows
from kaggle_ray.images.moments import ImageScale
from kaggle_ray.metrics import Metric
from kaggle_ray.models import Shapes
from kaggle_ray.rows import Rows
from kaggle_ray.types import Float64Array, FloatArray, IntArray, StrArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What a model looks at, for N rows."""

    images: ImageRows
    """(N * V) decoded images, the V views of a row one after the other."""
    num_views: int = 1
    """V; where rows have different numbers of images, the most that one has."""
    counts: IntArray | None = None
    """(N,) how many images each row has; None where all have ``num_views``."""
    table: FloatArray | None = None
    """(N, D) numbers that come with the images; NaN where a value is missing."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the pixels' values."""
        return self.images.read(np.zeros(1, dtype=np.int64)).dtype

    def views(self, rows: IntArray) -> IntArray:
        """Return (n * V,) the positions in ``images`` of the views of ``rows`` (n,), one row's after the other's."""
        if self.counts is not None:
            first, counts = (np.cumsum(self.counts) - self.counts)[rows], self.counts[rows]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            return np.asarray(np.repeat(first, counts) + within, dtype=np.int64)
        if self.num_views == 1:
            return rows
        return np.asarray((rows[:, np.newaxis] * self.num_views + np.arange(self.num_views)).ravel(), dtype=np.int64)

    def counts_of(self, rows: IntArray) -> IntArray:
        """Return (n,) how many images each of ``rows`` (n,) has."""
        return np.full(len(rows), self.num_views) if self.counts is None else self.counts[rows]

    def read(self, rows: IntArray) -> Pixels:
        """Return (n * V, H, W, C) the pixels of ``rows`` (n,)."""
        return self.images.read(self.views(rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudolabelledRows:
    """Test rows among the rows of a fold: they come after the training rows, and are trained on as those are."""

    first: int
    """Position of the first test row: the number of training rows."""
    rows: IntArray
    """(P,) positions of the test rows that have a pseudolabel."""
    num_per_epoch: int
    """How many of them an epoch takes, each once: at most P."""
    labels: FloatArray | None
    """(T, C) the labels of all test rows, as predictions are; None of masks, which are among ``FitData.masks``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitData:
    """One fold of a competition, ready to be trained on."""

    inputs: Inputs
    """Images and table of all N training rows, and after them of the test rows where some have a pseudolabel."""
    target: Rows
    """(N,) or (N, T) targets, zeros for test rows; for segmentation (N, h * w) flattened masks, of training rows alone,
    at the size that predictions are kept at."""
    heads: tuple[Head, ...]
    metric: Metric
    train_rows: IntArray
    """Positions of the rows to train on."""
    valid_rows: IntArray
    """Positions of the rows to score; never trained on."""
    fold: int
    id_hashes: npt.NDArray[np.uint64]
    """(N * V,) hashes of the samples' ids, which augmentation is a function of, beside seed, fold and epoch."""
    masks: ImageRows | None = None
    """(N,) masks at the size that images are decoded to; None where no head, an auxiliary one either, segments."""
    mask_size: tuple[int, int] | None = None
    """Height and width in pixels at which masks are predicted, for segmentation."""
    inner_rows: IntArray | None = None
    """Positions of rows, neither trained on nor scored, by which the epoch is chosen; None where it is not."""
    teacher: FloatArray | None = None
    """(N, C) answers of a teacher for the rows to train on, zeros elsewhere; None where there is no teacher."""
    sample_ids: StrArray | None = None
    """(N,) ids by which rows are named in messages; None names their positions."""
    pseudolabelled: PseudolabelledRows | None = None
    """Test rows to train on, too; None where there are none."""
    weights: FloatArray | None = None
    """(N,) how much each row counts in the loss, of a mean of 1 over the rows to train on; None is 1 for all."""
    auxiliary_heads: tuple[Head, ...] = ()
    """What is learnt beside ``heads``, and not predicted."""
    auxiliary_target: Float64Array | None = None
    """(N, A) targets of the auxiliary heads, NaN where one is not known; None of masks, and where there are none."""
    scale: ImageScale | None = None
    """What images are normalised with; None takes what the network's library tells."""

    @property
    def num_rows(self) -> int:
        """N, with the test rows where some have a pseudolabel."""
        counts = self.inputs.counts
        return self.inputs.images.shape[0] // self.inputs.num_views if counts is None else len(counts)

    @property
    def segments(self) -> bool:
        """Whether masks are what is predicted."""
        return self.heads[0].task == "segmentation"

    @property
    def auxiliary_segments(self) -> bool:
        """Whether masks are what is learnt beside it."""
        return any(head.task == "segmentation" for head in self.auxiliary_heads)

    @property
    def num_per_epoch(self) -> int:
        """Rows that an epoch trains on."""
        return len(self.train_rows) + (0 if self.pseudolabelled is None else self.pseudolabelled.num_per_epoch)

    @property
    def shapes(self) -> Shapes:
        """What the model has to take and give."""
        return shapes_of_heads(
            self.heads,
            self.auxiliary_heads,
            num_channels=self.inputs.images.shape[3],
            num_views=self.inputs.num_views,
            num_table_columns=0 if self.inputs.table is None else self.inputs.table.shape[1],
        )


def shapes_of_heads(
    heads: Sequence[Head],
    auxiliary_heads: Sequence[Head],
    *,
    num_channels: int,
    num_views: int = 1,
    num_table_columns: int = 0,
) -> Shapes:
    """Return what a model of ``heads``, and of auxiliary ones, has to take and give."""
    return Shapes(
        num_outputs=sum(head.num_outputs for head in heads),
        num_channels=num_channels,
        num_views=num_views,
        num_table_columns=num_table_columns,
        segments=heads[0].task == "segmentation",
        num_auxiliary_outputs=sum(head.num_outputs for head in auxiliary_heads),
        auxiliary_segments=any(head.task == "segmentation" for head in auxiliary_heads),
    )
