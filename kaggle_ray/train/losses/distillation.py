"""Learning from another model's probabilities. Shape suffixes: N samples, C outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from kaggle_ray.config import LossHyperparameters
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.train.losses.class_weights import is_softmax
from kaggle_ray.train.losses.outputs import Outputs, PixelOutputs

_TASKS = ("binary", "multiclass", "multilabel")

Activation = Literal["softmax", "sigmoid"]


def distill_loss(
    logits_NC: Tensor,
    teacher_NC: Tensor,
    temperature: float = 1.0,
    *,
    activation: Activation = "softmax",
) -> Tensor:
    """Return (N,) the divergence KL(teacher || model) of both at ``temperature``, times its square.

    The square keeps the size of the gradients about the same for all temperatures, so that the loss can be mixed with
    that of the hard targets. Of sigmoids it is the mean over the outputs.

    Args:
        logits_NC: of the model that learns.
        teacher_NC: probabilities; exact zeros and ones are taken for the nearest that have a logarithm.
        temperature: above 0; above 1 lets the teacher's small probabilities speak louder.
        activation: what makes probabilities of logits; sigmoid for binary and labels.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
    """
    assert temperature > 0, temperature
    smallest = torch.finfo(teacher_NC.dtype).tiny
    log_teacher_NC = teacher_NC.clamp_min(smallest).log() / temperature
    if activation == "softmax":
        log_values_NC = functional.log_softmax(logits_NC / temperature, dim=1)
        log_teacher_NC = functional.log_softmax(log_teacher_NC, dim=1)
        parts_NC = functional.kl_div(log_values_NC, log_teacher_NC, reduction="none", log_target=True)
        return temperature**2 * parts_NC.sum(dim=1)
    teacher_logits_NC = log_teacher_NC - (1 - teacher_NC).clamp_min(smallest).log() / temperature
    softened_NC = torch.sigmoid(teacher_logits_NC)
    entropy_NC = functional.binary_cross_entropy_with_logits(teacher_logits_NC, softened_NC, reduction="none")
    cross_NC = functional.binary_cross_entropy_with_logits(logits_NC / temperature, softened_NC, reduction="none")
    return temperature**2 * (cross_NC - entropy_NC).mean(dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationLosses:
    """The loss of a model that learns from labels and from a teacher, side by side in the targets."""

    outputs: Outputs
    """Loss and activation of the labels."""
    weight: float
    """Share of the teacher."""
    temperature: float
    activation: Activation

    def sample_losses(self, logits_NC: Tensor, targets: Tensor) -> Tensor:
        """Return (N,) float32 each sample's loss; the targets (N, 2 C) are soft targets, then the teacher's answers."""
        labels_NC, teacher_NC = targets.chunk(2, dim=1)
        of_teacher_N = distill_loss(logits_NC.float(), teacher_NC, self.temperature, activation=self.activation)
        return torch.lerp(self.outputs.sample_losses(logits_NC, labels_NC), of_teacher_N, self.weight)


def make_distillation_losses(
    outputs: Outputs | PixelOutputs, heads: Sequence[Head], given: LossHyperparameters
) -> DistillationLosses:
    """Return the loss of a student.

    Raises:
        ConfigError: the heads are none that can be taught.
    """
    check_distillation(heads, given)
    assert isinstance(outputs, Outputs)
    return DistillationLosses(
        outputs=outputs,
        weight=given.distill_weight,
        temperature=given.temperature,
        activation="softmax" if is_softmax(heads[0]) else "sigmoid",
    )


def check_distillation(heads: Sequence[Head], given: LossHyperparameters) -> None:
    """Raise ConfigError where there is no teacher for what is set, or the heads are not one of classes or labels."""
    if given.distill_out_of_fold and not given.distill_from:
        raise ConfigError("hyperparameter 'distill_out_of_fold': expected a teacher, got an empty distill_from.")
    if given.distill_from and (len(heads) != 1 or heads[0].task not in _TASKS):
        raise ConfigError(
            f"hyperparameter 'distill_from': expected one head of {', '.join(_TASKS)}, got "
            f"{', '.join(f'{head.name} ({head.task})' for head in heads)}. Leave it empty."
        )
