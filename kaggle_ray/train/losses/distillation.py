"""Learning from another model's probabilities. Shape suffixes: N samples, C outputs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def distill_loss(
    logits_NC: Tensor,
    teacher_NC: Tensor,
    temperature: float = 1.0,
    *,
    activation: Literal["softmax", "sigmoid"] = "softmax",
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
