"""What a model predicts of its training rows while it is trained on them: at no cost but to keep it.

Shape suffixes: N samples of a piece, C columns of the prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.config import Hyperparameters
from kaggle_ray.train.further_metrics import FurtherMetrics
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.train.ranks import Ranks
from kaggle_ray.types import FloatArray, IntArray

_MOST_VALUES = 2**25
"""Values of an epoch that are kept, on the device: 128 MiB in float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainScores:
    """How the training rows of an epoch were predicted as they passed."""

    score: float | None = None
    """Score by the competition's metric; None where it was not measured."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Scores by what the heads name beside it."""


class RunningPredictions:
    """Keeps the logits of an epoch's pieces where they are, and scores them at its end.

    There are none of masks, which are many, nor of samples that are mixed, which have no one target.
    """

    def __init__(
        self,
        data: FitData,
        outputs: Outputs | PixelOutputs,
        hyperparameters: Hyperparameters,
        further: FurtherMetrics,
        ranks: Ranks,
    ) -> None:
        """Read logits by ``outputs``; nothing is kept before ``begin``."""
        mixes = hyperparameters.images.mixup > 0 or hyperparameters.images.cutmix > 0
        num_values = len(data.train_rows) * sum(head.num_outputs for head in data.heads)
        self._is_possible = not data.segments and not mixes and num_values <= _MOST_VALUES
        self._data, self._outputs, self._further, self._ranks = data, outputs, further, ranks
        self._pieces: list[tuple[IntArray, Tensor]] = []
        self._is_kept = False

    def begin(self, *, is_wanted: bool) -> None:
        """Begin an epoch of which all or nothing is kept."""
        self._pieces.clear()
        self._is_kept = is_wanted and self._is_possible

    def add(self, rows: IntArray, logits_NC: Tensor) -> None:
        """Keep what a piece's rows (N,) are predicted as."""
        if self._is_kept:
            self._pieces.append((rows, logits_NC.detach()))

    def scores(self, epoch: int) -> TrainScores:
        """Return, on every rank, the scores of all that the ranks have kept, and let go of it."""
        if not self._is_kept:
            return TrainScores()
        gathered = self._ranks.gather(self._taken())
        found = TrainScores()
        if self._ranks.rank == 0:
            rows = np.concatenate([rows for rows, _ in gathered])
            order = np.argsort(rows)  # whoever trained on which, the sums come in one order
            target, values = self._data.target[rows[order]], np.concatenate([values for _, values in gathered])[order]
            if np.isfinite(values).all():
                found = TrainScores(
                    score=self._further.score(target, values, epoch),
                    metrics=self._further.scores(target, values, epoch),
                )
        return self._ranks.of_first(found)

    def _taken(self) -> tuple[IntArray, FloatArray]:
        rows = np.concatenate([rows for rows, _ in self._pieces])
        with torch.inference_mode():
            values = self._outputs.values(torch.cat([logits for _, logits in self._pieces])).cpu().numpy()
        self._pieces.clear()
        return rows, np.asarray(values, dtype=np.float32)
