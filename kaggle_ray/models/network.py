"""What a library gives: a network, and what the library says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kaggle_ray.errors import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Layer = nn.Linear | nn.Conv2d
"""What makes logits of features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network as its library built it, before its inputs are normalised."""

    module: nn.Module
    """Takes the images, the images and a table, or a table alone."""
    fresh: tuple[nn.Module, ...]
    """The parts of it that come with no pretrained weights."""
    logits: tuple[Layer, ...] = ()
    """Fresh layers that make the logits: one, or several whose mean they are; none where it ends with features."""
    num_features: int = 0
    """Channels of the features that it ends with, (N, E, H, W) or (N, L, E); 0 where it ends with logits."""
    mean: Sequence[float] = IMAGENET_MEAN
    """Mean of each channel, of images in the range 0..1."""
    std: Sequence[float] = IMAGENET_STD
    """Standard deviation of each channel, of images in the range 0..1."""
    input_size: int | None = None
    """Side in pixels of the images that the library trained it on; None where it trained none."""


@torch.no_grad()
def on_meta(module: nn.Module, *inputs: Tensor) -> Any:
    """Return what ``module`` would make of ``inputs``, in evaluation mode: the shape without the computing."""
    meta = torch.device("meta")
    tensors = {name: tensor.to(meta) for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    was_training = module.training
    module.eval()
    try:
        return functional_call(module, tensors, tuple(value.to(meta) for value in inputs))
    finally:
        module.train(was_training)


def last_layer(network: nn.Module) -> tuple[str, Layer]:
    """Return name and module of what makes the logits: the last linear layer, else (SqueezeNet) convolution.

    Raises:
        ConfigError: there is neither.
    """
    for kind in (nn.Linear, nn.Conv2d):
        found = [(name, module) for name, module in network.named_modules() if name and isinstance(module, kind)]
        if found:
            return found[-1]
    raise ConfigError(f"{type(network).__name__} has no linear layer or convolution that would be its last one.")
