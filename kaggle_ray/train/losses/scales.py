"""Numbers as the loss takes them, and back: see ``Head.scale``."""

from __future__ import annotations

import torch
from torch import Tensor

from kaggle_ray.data.head import Scale


def scaled(numbers: Tensor, scale: Scale) -> Tensor:
    """Return the numbers on their scale; what rounding took out of its domain counts for the least number in it."""
    if scale == "log":
        return numbers.clamp_min(torch.finfo(numbers.dtype).tiny).log()
    return numbers.clamp_min(0).log1p() if scale == "log1p" else numbers


def unscaled(numbers: Tensor, scale: Scale) -> Tensor:
    """Return the numbers in their unit: above 0 of ``log``, at least 0 of ``log1p``."""
    if scale == "log":
        return numbers.exp().clamp_min(torch.finfo(numbers.dtype).tiny)
    return numbers.expm1().clamp_min(0) if scale == "log1p" else numbers
