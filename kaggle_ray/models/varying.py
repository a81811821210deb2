"""Samples of different numbers of images: those of a batch lie one after the other, and their features side by side.

Only real images go through a network; places that a sample has no image for are padding, which nothing looks at.

Shape suffixes: N samples, V the most images of one of them, M images of all of them, E features.
"""

from __future__ import annotations

import torch
from torch import Tensor


def places_of(counts_N: Tensor) -> Tensor:
    """Return (N, V) whether a sample has an image at a place, of how many each has."""
    places_V = torch.arange(int(counts_N.max()), device=counts_N.device)
    return places_V[None, :] < counts_N[:, None]


def padded(values: Tensor, is_there_NV: Tensor) -> Tensor:
    """Return (N, V, ...) what each sample's images have, of (M, ...) one after the other; zeros where there is none."""
    out = values.new_zeros(*is_there_NV.shape, *values.shape[1:])
    out[is_there_NV] = values
    return out


def mean_of_there(values: Tensor, is_there_NV: Tensor) -> Tensor:
    """Return (N, ...) the mean over a sample's images of (N, V, ...); what is padded has no part in it."""
    weights_NV = is_there_NV.to(values.dtype)
    weights = weights_NV.reshape(*weights_NV.shape, *[1] * (values.ndim - 2))
    total: Tensor = (values * weights).sum(dim=1)
    return total / weights.sum(dim=1)


def reversed_places(is_there_NV: Tensor) -> Tensor:
    """Return (N, V) places such that each sample's images come in the opposite order, and padding stays behind."""
    counts_N1 = is_there_NV.sum(dim=1, keepdim=True)
    return (counts_N1 - 1 - torch.arange(is_there_NV.shape[1], device=is_there_NV.device)).clamp(min=0)
