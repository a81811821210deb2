"""Optimizers and learning-rate schedules by name: torch's own."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR

from kaggle_ray.config import Hyperparameters

_FEW_STEPS = 5
"""Fewer than this leave no room to rise and fall: the learning rate stays as it is."""


def make_optimizer(model: nn.Module, hyperparameters: Hyperparameters) -> Optimizer:
    """Return the optimizer; weight decay spares biases and the scales of normalisation layers (1-d tensors)."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": hyperparameters.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if hyperparameters.optimizer == "sgd":
        return SGD(
            groups,
            lr=hyperparameters.lr,
            momentum=hyperparameters.momentum,
            nesterov=hyperparameters.momentum > 0,
            fused=True,
        )
    betas = (hyperparameters.momentum, hyperparameters.beta2)
    return AdamW(groups, lr=hyperparameters.lr, betas=betas, fused=True)


def make_schedule(optimizer: Optimizer, hyperparameters: Hyperparameters, num_steps: int) -> LRScheduler:
    """Return the schedule, stepped once per optimizer step, ``num_steps`` times in all."""
    num_warmup = round(hyperparameters.warmup * num_steps)
    if hyperparameters.schedule == "constant" or num_steps < _FEW_STEPS:
        return ConstantLR(optimizer, factor=1.0)
    if hyperparameters.schedule == "one_cycle":
        rising = min(max(num_warmup, 2), num_steps - 2) / num_steps
        return OneCycleLR(optimizer, hyperparameters.lr, total_steps=num_steps, pct_start=rising, cycle_momentum=False)
    cosine = CosineAnnealingLR(optimizer, T_max=max(1, num_steps - num_warmup))
    if not num_warmup:
        return cosine
    rise = LinearLR(optimizer, start_factor=1 / (num_warmup + 1), total_iters=num_warmup)
    return SequentialLR(optimizer, [rise, cosine], milestones=[num_warmup])
