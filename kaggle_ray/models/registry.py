"""Builds a model by name with the right number of outputs, and knows how its input is normalised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.types import JsonValue

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
TIMM_PREFIX = "timm/"

_BUILDERS: dict[str, Callable[..., nn.Module]] = {}


class Model(nn.Module):
    """A network with its normalisation in front: (N, 3, H, W) values 0..1 in, (N, C) logits out."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        """Normalise the input with ``mean`` and ``std`` of its channels, in the range 0..1."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, C) logits."""
        logits: Tensor = self.network((images_NCHW - self.mean) / self.std)
        return logits


def register_model(name: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Register a builder ``(num_outputs, **model_args) -> nn.Module`` under ``name``."""

    def register(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        _BUILDERS[name] = builder
        return builder

    return register


def build_model(
    name: str, *, num_outputs: int, pretrained: bool = False, model_args: Mapping[str, JsonValue] | None = None
) -> Model:
    """Return a model whose last layer has ``num_outputs`` outputs.

    Weights come from torch's global random generator, or where ``pretrained`` from the library's own loading, with a
    fresh last layer.

    Raises:
        ConfigError: the name or an argument of it is unknown, or our own model is asked for pretrained weights.
    """
    check_model_name(name)
    arguments = dict(model_args or {})
    try:
        if name in _BUILDERS:
            if pretrained:
                raise ConfigError(f"model {name!r}: there are no pretrained weights. Set pretrained to false.")
            return Model(_BUILDERS[name](num_outputs=num_outputs, **arguments))
        if name.startswith(TIMM_PREFIX):
            return _build_timm(name.removeprefix(TIMM_PREFIX), num_outputs, pretrained, arguments)
        return _build_torchvision(name, num_outputs, pretrained, arguments)
    except TypeError as error:
        raise ConfigError(f"model {name!r} with model_args {arguments}: {error}.") from error


def check_model(name: str, model_args: Mapping[str, JsonValue]) -> None:
    """Raise ConfigError where no library has a model of this name that takes these arguments; no weights are made."""
    with torch.device("meta"):
        build_model(name, num_outputs=1, model_args=model_args)


def check_model_name(name: str) -> None:
    """Raise ConfigError, with the nearest known name, where no library has a model of this name."""
    if name in _BUILDERS:
        return
    if name.startswith(TIMM_PREFIX):
        known = _timm().list_models()
        architecture = name.removeprefix(TIMM_PREFIX).partition(".")[0]
        if architecture not in known:
            raise ConfigError(f"unknown timm model {architecture!r}{suggest(architecture, known)}")
        return
    from torchvision.models import list_models

    known = [*_BUILDERS, *list_models(module=__import__("torchvision").models)]
    if name not in known:
        raise ConfigError(f"unknown model {name!r}{suggest(name, known)} timm's models are named {TIMM_PREFIX}<name>.")


def _build_torchvision(name: str, num_outputs: int, pretrained: bool, arguments: dict[str, Any]) -> Model:
    from torchvision.models import get_model

    if not pretrained:
        return Model(get_model(name, weights=None, num_classes=num_outputs, **arguments))
    network = get_model(name, weights="DEFAULT", **arguments)
    replace_last_linear(network, num_outputs)
    return Model(network)


def _build_timm(name: str, num_outputs: int, pretrained: bool, arguments: dict[str, Any]) -> Model:
    network = _timm().create_model(name, pretrained=pretrained, num_classes=num_outputs, **arguments)
    statistics = network.pretrained_cfg
    return Model(network, mean=tuple(statistics["mean"]), std=tuple(statistics["std"]))


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ConfigError("timm's models need the extra: pip install 'kaggle-ray[timm]'.") from error
    return timm


def replace_last_linear(network: nn.Module, num_outputs: int) -> None:
    """Put a fresh linear layer with ``num_outputs`` in the place of the network's last one."""
    linears = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise ConfigError(f"{type(network).__name__} has no linear layer to replace. Build it without pretrained.")
    parent_name, _, attribute = linears[-1].rpartition(".")
    parent = network.get_submodule(parent_name)
    last = network.get_submodule(linears[-1])
    assert isinstance(last, nn.Linear)
    fresh = nn.Linear(last.in_features, num_outputs)
    if isinstance(parent, nn.Sequential):
        parent[int(attribute)] = fresh
    else:
        setattr(parent, attribute, fresh)
