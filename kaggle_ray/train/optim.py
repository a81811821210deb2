"""Optimizers by name, torch's own, and the groups of parameters that differ in weight decay and learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from kaggle_ray.config import OptimizerHyperparameters
from kaggle_ray.models import Model

LR_FACTOR = "lr_factor"
"""Key of a group: its learning rate over that of the head."""


def make_optimizer(model: Model, given: OptimizerHyperparameters) -> Optimizer:
    """Return the optimizer of all parameters, frozen ones too: without a gradient they are neither moved nor decayed.

    Where torch has a fused implementation, on the CPU and on the GPU alike, it is used; nadam, radam and rmsprop have
    none, and torch takes its foreach implementation on a GPU and a plain loop on the CPU.
    """
    groups = parameter_groups(model, given)
    return _OPTIMIZERS[given.name](groups, given)


def parameter_groups(model: Model, given: OptimizerHyperparameters) -> list[dict[str, Any]]:
    """Return torch's groups, the head's first: a learning rate per depth of the model, each with and without decay.

    Weight decay spares biases and the scales of normalisation layers (1-d tensors). Each stage's learning rate is
    ``layer_decay`` times that of the stage above it, and follows the schedule with this factor.
    """
    decay = given.layer_decay
    depth_of = model.depths() if decay < 1 else {}
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        members.setdefault((depth_of.get(name, 0), parameter.ndim <= 1), []).append(parameter)
    return [
        {
            "params": members[depth, is_spared],
            "weight_decay": 0.0 if is_spared else given.weight_decay,
            "lr": given.lr * decay**depth,
            LR_FACTOR: decay**depth,
        }
        for depth, is_spared in sorted(members)
    ]


Groups = list[dict[str, Any]]


def _adamw(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    return AdamW(groups, betas=(given.momentum, given.beta2), fused=True)


def _adam(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    return Adam(groups, betas=(given.momentum, given.beta2), fused=True)


def _nadam(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    return NAdam(groups, betas=(given.momentum, given.beta2), decoupled_weight_decay=True)


def _radam(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    return RAdam(groups, betas=(given.momentum, given.beta2), decoupled_weight_decay=True)


def _sgd(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    """The fused step needs the momentum of all of a group's parameters, also of those whose first gradient comes later.

    Starting from zero is the same to the bit as torch's own start from the first gradient.
    """
    optimizer = SGD(groups, momentum=given.momentum, nesterov=given.momentum > 0, fused=True)
    if given.momentum:
        for parameter in (parameter for group in groups for parameter in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _rmsprop(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    return RMSprop(groups, alpha=given.beta2, momentum=given.momentum)


def _adagrad(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    return Adagrad(groups, fused=True)


_OPTIMIZERS: Mapping[str, Callable[[Groups, OptimizerHyperparameters], Optimizer]] = {
    "adamw": _adamw,
    "sgd": _sgd,
    "adam": _adam,
    "nadam": _nadam,
    "radam": _radam,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
}
