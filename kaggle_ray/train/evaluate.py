"""Measures a model on rows that it was not trained on, with the weights that would predict.

Shape suffixes: N samples of a batch, C columns of the prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.predict import View
from kaggle_ray.decide import default_score
from kaggle_ray.errors import NonFiniteLossError
from kaggle_ray.images.augment import resize_masks
from kaggle_ray.models import main_logits
from kaggle_ray.train.anomalies import ConstantWatch
from kaggle_ray.train.auxiliary import AuxiliaryScores
from kaggle_ray.train.further_metrics import FurtherMetrics
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.train.on_device import to_device
from kaggle_ray.train.predict import Predictor
from kaggle_ray.train.ranks import Ranks, in_turns, together
from kaggle_ray.types import Float64Array, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What rows say of a model."""

    loss: float
    """Mean over the rows of the task's plain loss."""
    score: float
    """The competition's metric, decided by the rule that needs no fitting."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the heads name beside it, by the same kind of rule."""


NOT_MEASURED = Measured(loss=math.nan, score=math.nan)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What a model says of a batch of rows."""

    losses_N: Float64Array
    values_NC: FloatArray
    auxiliary_NC: FloatArray | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluator:
    """Measures rows of a fold as an epoch was trained: at its image size, and without test-time augmentation."""

    predictor: Predictor
    outputs: Outputs | PixelOutputs
    """Targets and loss of each head: the task's plain ones, whatever is minimised."""
    data: FitData
    hyperparameters: Hyperparameters
    ranks: Ranks
    constants: ConstantWatch
    further: FurtherMetrics
    auxiliary: AuxiliaryScores | None = None
    """What scores auxiliary heads, beside all of the above; None where there are none."""

    def measure(self, rows: IntArray, epoch: int) -> Measured:
        """Return what ``rows`` (N,) say of the model after ``epoch``: the same on every rank, for any number of them.

        Raises:
            NonFiniteLossError: the loss or a prediction is NaN or infinite: the epoch's last step went too far.
        """
        height = self.hyperparameters.size_at(epoch)
        self.ranks.share_buffers(self.predictor.model)
        found = list(in_turns(self.ranks, self.predictor.batches(rows), lambda batch: self._said_of(batch, height)))
        measured = NOT_MEASURED
        if self.ranks.rank == 0:
            loss = float(np.concatenate([each.losses_N for each in found]).mean())
            values_NC = np.concatenate([each.values_NC for each in found])
            finite = math.isfinite(loss) and bool(np.isfinite(values_NC).all())
            self.constants.see(epoch, values_NC)
            if finite:
                target = self.data.target[rows]
                measured = Measured(
                    loss=loss,
                    score=default_score(self.data.metric, target, values_NC),
                    metrics={
                        **self.further.scores(target, values_NC, epoch),
                        **self._auxiliary_scores(rows, found, height, epoch),
                    },
                )
        measured = self.ranks.of_first(measured)
        with together(self.ranks):
            if not math.isfinite(measured.loss):
                raise NonFiniteLossError(
                    f"the loss of epoch {epoch} is {measured.loss} at lr {self.hyperparameters.optimizer.lr}, on rows "
                    f"that were not trained on. Try a smaller lr."
                )
        return measured

    def check_weights(self, epoch: int) -> None:
        """Raise NonFiniteLossError where the last step went too far, and there are no rows to tell of it."""
        with together(self.ranks):
            if not all(bool(tensor.isfinite().all()) for tensor in self.predictor.model.state_dict().values()):
                raise NonFiniteLossError(
                    f"weights are not finite after epoch {epoch} at lr {self.hyperparameters.optimizer.lr}. "
                    f"Try a smaller lr."
                )

    def _said_of(self, batch: IntArray, height: int) -> _Said:
        ((_, output),) = self.predictor.outputs(self.data.inputs, batch, view=View(height=height))
        logits = main_logits(output)
        if self.data.segments:
            assert self.data.masks is not None, "they are what is predicted"
            sides = self.hyperparameters.images.sides(height)
            target = resize_masks(self.data.masks.read(batch), *sides, nearest=logits.shape[1] > 1)
        else:
            target = self.data.target[batch]
        targets = self.outputs.soft_targets(to_device(target, logits.device))
        return _Said(
            losses_N=self.outputs.sample_losses(logits, targets).double().cpu().numpy(),
            values_NC=self.predictor.read(logits),
            auxiliary_NC=None if self.auxiliary is None else self.auxiliary.values(output),
        )

    def _auxiliary_scores(self, rows: IntArray, found: Sequence[_Said], height: int, epoch: int) -> Mapping[str, float]:
        if self.auxiliary is None:
            return {}
        values_NC = np.concatenate([each.auxiliary_NC for each in found if each.auxiliary_NC is not None])
        return self.auxiliary.scores(rows, values_NC, self.hyperparameters.images.sides(height), epoch)
