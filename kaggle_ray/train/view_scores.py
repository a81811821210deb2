"""What each view of test-time augmentation is worth, on rows whose truth is known and no model has seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.predict import View
from kaggle_ray.decide import default_score
from kaggle_ray.metrics import Metric
from kaggle_ray.pool.gather import mean_of
from kaggle_ray.rows import Rows
from kaggle_ray.store.predictions import float_rows, quantised
from kaggle_ray.types import FloatArray, StoredValues, ViewScore


class PredictedViews:
    """What is predicted of each view of some rows, kept on the disk until it is scored."""

    def __init__(self, hyperparameters: Hyperparameters, num_rows: int, folder: Path, *, are_masks: bool) -> None:
        """Keep the predictions of ``num_rows`` rows in ``folder``, which is empty; of masks as bytes."""
        self.views = hyperparameters.predict.views(hyperparameters.images)
        self._num_rows = num_rows
        self._folder = folder
        self._are_masks = are_masks
        self._kept: list[StoredValues] = []
        self._num_told = 0

    def take(self, of_views: Sequence[FloatArray]) -> None:
        """Keep (n, C) what is predicted of each view of the next n rows."""
        if not self._kept:
            dtype, shape = np.uint8 if self._are_masks else np.float32, (self._num_rows, of_views[0].shape[1])
            files = (self._folder / f"{number}.npy" for number in range(len(of_views)))
            self._kept = [np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape) for file in files]
        end = self._num_told + len(of_views[0])
        for kept, values in zip(self._kept, of_views, strict=True):
            kept[self._num_told : end] = quantised(values) if self._are_masks else values
        self._num_told = end

    def scores(self, metric: Metric, target: Rows) -> tuple[ViewScore, ...]:
        """Return what each view is worth under the rule that needs no fitting; nothing of one view alone.

        Args:
            metric: of the competition.
            target: (N,) or (N, T) of the rows.
        """
        assert self._num_told == self._num_rows, "all rows were predicted"
        of_views = [float_rows(kept) for kept in self._kept]
        if len(of_views) < 2:
            return ()
        return tuple(
            ViewScore(
                view=name,
                alone=default_score(metric, target, of_views[number]),
                without=default_score(metric, target, mean_of([*of_views[:number], *of_views[number + 1 :]])),
            )
            for number, name in enumerate(names_of(self.views))
        )


def names_of(views: Sequence[View]) -> list[str]:
    """Return what to call each of some views: with its height, where they have several."""
    heights = {view.height for view in views}
    return [f"{view} at {view.height} pixels" if len(heights) > 1 else str(view) for view in views]
