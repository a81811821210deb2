"""The optimizer of a model: its parameters in groups that differ in weight decay and learning rate."""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from kaggle_ray.config import OptimizerHyperparameters
from kaggle_ray.models import Model
from kaggle_ray.train.optimizers import Groups, build_optimizer

LR_FACTOR = "lr_factor"
"""Key of a group: its learning rate over that of the head."""


def make_optimizer(model: Model, given: OptimizerHyperparameters) -> Optimizer:
    """Return the optimizer of all parameters, frozen ones too: without a gradient they are neither moved nor decayed.

    Where torch has a fused implementation, on the CPU and on the GPU alike, it is used; nadam, radam and rmsprop have
    none, and torch takes its foreach implementation on a GPU and a plain loop on the CPU.

    Raises:
        ConfigError: there is no such optimizer, or it does not take an argument.
    """
    return build_optimizer(parameter_groups(model, given), given)


def parameter_groups(model: Model, given: OptimizerHyperparameters) -> Groups:
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
