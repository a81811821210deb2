"""The layers that make the logits start small, whatever the library: the first loss is that of knowing nothing.

timm's and torchvision's EfficientNets draw the weights of a classifier of one output uniformly from (-1, 1): logits of
a deviation of 5, and a first log loss of 3 instead of 0.69, which a few epochs of fine-tuning do not mend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from kaggle_ray.models.network import Layer

_DEVIATION = 0.1
"""Deviation of the first logits, where the features have a mean square of 1."""


def logits_layers(module: nn.Module, num_outputs: int) -> tuple[Layer, ...]:
    """Return the layer that makes the logits: the last one within ``module`` of so many outputs, if there is any."""
    layers = [layer for layer in module.modules() if isinstance(layer, Layer) and not is_lazy(layer.weight)]
    return tuple([layer for layer in layers if len(layer.weight) == num_outputs][-1:])


@torch.no_grad()
def start_small(layers: Iterable[Layer]) -> None:
    """Scale weights that nothing was learnt by down to where logits are near 0; those that are smaller stay.

    No number is drawn, so that the random generator goes on as the library left it.
    """
    for layer in layers:
        largest = _DEVIATION / math.sqrt(layer.weight[0].numel())
        if not layer.weight.is_meta and (of_library := float(layer.weight.square().mean().sqrt())) > largest:
            layer.weight.mul_(largest / of_library)
