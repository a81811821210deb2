"""Distances between predicted and true values: (N, C) in, (N,) each sample's mean out."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def mse(values_NC: Tensor, targets_NC: Tensor) -> Tensor:
    """Return (N,) squared errors."""
    return functional.mse_loss(values_NC, targets_NC, reduction="none").mean(dim=1)


def l1(values_NC: Tensor, targets_NC: Tensor) -> Tensor:
    """Return (N,) absolute errors."""
    return functional.l1_loss(values_NC, targets_NC, reduction="none").mean(dim=1)


def huber(values_NC: Tensor, targets_NC: Tensor, delta: float) -> Tensor:
    """Return (N,) half the squared errors up to ``delta``, and straight on from there.

    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics, 1964.
    """
    return functional.huber_loss(values_NC, targets_NC, delta=delta, reduction="none").mean(dim=1)
