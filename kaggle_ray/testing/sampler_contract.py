"""The contract of a sampler of training rows: call ``check_sampler`` in a test of each one."""

from __future__ import annotations

import random

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.train.sampling import RowsToSample, Sampler

_CLASSES = ("common", "rare", "rarest")


def check_sampler(sampler: Sampler) -> None:
    """Check that as many rows come as there are, all of them there, and that only the generator draws them.

    Args:
        sampler: is given rows of one of three classes, with weights, in several epochs.

    Raises:
        AssertionError: it does not keep to it; or whatever the sampler raised.
    """
    for num_rows in (1, 7, 60):
        for epoch in (1, 2, 9):
            rows, before = _rows(num_rows, epoch), _rows(num_rows, epoch)
            drawn = [_draw(sampler, rows, disturbance) for disturbance in (0, 1)]
            assert np.array_equal(drawn[0], drawn[1]), "the same generator draws other rows: what else is random?"
            assert drawn[0].shape == (num_rows,), f"expected {counted(num_rows, 'position')}, got {drawn[0].shape}"
            assert drawn[0].dtype.kind in "iu", f"expected whole numbers, got {drawn[0].dtype}"
            assert drawn[0].min() >= 0
            assert drawn[0].max() < num_rows
            assert np.array_equal(rows.weights, before.weights), "the rows are not the sampler's to change"
            assert np.array_equal(np.asarray(rows.target), np.asarray(before.target))


def _draw(sampler: Sampler, rows: RowsToSample, disturbance: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    np.random.seed(disturbance)  # what a sampler must not draw from
    random.seed(disturbance)
    return np.asarray(sampler(rows, np.random.default_rng(5)))


def _rows(num_rows: int, epoch: int) -> RowsToSample:
    weights = np.linspace(1, 3, num_rows)
    return RowsToSample(
        heads=(Head(task="multiclass", classes=_CLASSES, metric=LOG_LOSS),),
        target=np.minimum(np.arange(num_rows) % 10 // 4, 2),
        weights=weights / weights.mean(),
        epoch=epoch,
    )
