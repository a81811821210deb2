"""Losses over soft targets, so that label smoothing and mixup need no cases of their own.

Shape suffixes: N samples of a batch, C columns of the prediction.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kaggle_ray.types import Task


def soft_targets(labels_N: Tensor, *, task: Task, num_columns: int, label_smoothing: float) -> Tensor:
    """Return (N, C) float32 probabilities of integer labels: C is 1 for binary.

    Smoothing moves that fraction of a target evenly to all classes (Szegedy et al., CVPR 2016).
    """
    if task == "binary":
        return labels_N.float()[:, None] * (1 - label_smoothing) + label_smoothing / 2
    one_hot = functional.one_hot(labels_N, num_columns).float()
    return one_hot * (1 - label_smoothing) + label_smoothing / num_columns


def mean_loss(logits_NC: Tensor, targets_NC: Tensor, task: Task) -> Tensor:
    """Return the mean cross entropy over the batch, a scalar."""
    if task == "binary":
        return functional.binary_cross_entropy_with_logits(logits_NC, targets_NC)
    return functional.cross_entropy(logits_NC, targets_NC)


def probabilities(logits_NC: Tensor, task: Task) -> Tensor:
    """Return (N, C) float32 probabilities."""
    return torch.sigmoid(logits_NC.float()) if task == "binary" else torch.softmax(logits_NC.float(), dim=1)
