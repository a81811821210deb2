"""All that a fit minimises of a sample: the losses of what is predicted, of a teacher's answers, of auxiliary heads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kaggle_ray.config import LossHyperparameters
from kaggle_ray.models import Output, main_logits
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.losses.auxiliary import AuxiliaryMasks, AuxiliaryOutputs, split_by_head
from kaggle_ray.train.losses.distillation import DistillationLosses, make_distillation_losses
from kaggle_ray.train.losses.outputs import Outputs, PixelOutputs, make_outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What the outputs of a batch are to be."""

    main: Tensor
    """(N, ...) targets of what is predicted, as ``Outputs.targets`` or ``soft_targets`` makes them; a teacher's answers
    beside them, where there are any."""
    auxiliary: Tensor | None = None
    """(N, ...) soft targets of the auxiliary heads, NaN where one is not known."""
    weights_N: Tensor | None = None
    """(N,) how much each sample counts; None is 1 for all."""


class Objective:
    """The loss of a fold's samples."""

    def __init__(self, data: FitData, given: LossHyperparameters) -> None:
        """Take scales and class weights from the rows that ``data`` trains on.

        Raises:
            ConfigError: a loss or an argument of it is unknown, out of range, or of another task.
            DataError: an auxiliary head is known of none of the rows.
        """
        of_heads, of_auxiliary = split_by_head(given, data.auxiliary_heads)
        self.outputs: Outputs | PixelOutputs = make_outputs(data.heads, data.target, data.train_rows, of_heads)
        """Soft targets and values of what is predicted."""
        self.auxiliary = _make_auxiliary(data, of_auxiliary)
        """Soft targets and values of the auxiliary heads, None where there are none."""
        self._main: Outputs | PixelOutputs | DistillationLosses = (
            self.outputs if data.teacher is None else make_distillation_losses(self.outputs, data.heads, of_heads)
        )
        self._weight = sum(head.loss_weight for head in data.heads)
        self._total = self._weight + sum(head.loss_weight for head in data.auxiliary_heads)

    def sample_losses(self, output: Output, targets: Targets) -> Tensor:
        """Return (N,) float32 each sample's loss, by its weight: the mean of its heads' by theirs."""
        losses_N = self._main.sample_losses(main_logits(output), targets.main)
        if self.auxiliary is not None:
            assert isinstance(output, tuple), "the model has outputs of the auxiliary heads"
            assert targets.auxiliary is not None, "they have targets"
            auxiliary_N = self.auxiliary.sample_losses(output[1].float(), targets.auxiliary)
            losses_N = (self._weight * losses_N + auxiliary_N) / self._total
        return losses_N if targets.weights_N is None else targets.weights_N * losses_N


def _make_auxiliary(data: FitData, given: LossHyperparameters) -> AuxiliaryOutputs | AuxiliaryMasks | None:
    if not data.auxiliary_heads:
        return None
    if data.auxiliary_segments:
        assert data.masks is not None, "the competition has been checked"
        return AuxiliaryMasks(data.auxiliary_heads[0], data.masks, data.train_rows, given)
    assert data.auxiliary_target is not None, "the competition has been checked"
    return AuxiliaryOutputs(data.auxiliary_heads, data.auxiliary_target, data.train_rows, given)
