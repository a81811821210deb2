"""torchvision's classifiers by name, with its own weights, statistics and image sizes."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_ray.config.model import names_a_file
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.models.network import Network, last_layer, on_meta
from kaggle_ray.models.weights import downloading, load_weights
from kaggle_ray.types import JsonValue

_AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Second classifiers of GoogLeNet and Inception, whose logits would come beside the others in training."""
_SLOW_TO_DRAW = ("googlenet", "inception_v3")
"""Networks whose own initial weights take half a minute to draw, and will no longer be torchvision's default: torch's
do as well."""
_AFTER_FEATURES = ("avgpool", "classifier", "fc", "dropout", "flatten", "head", "heads")
"""Names of the layers at which the features end and a classifier begins."""


def model_names() -> list[str]:
    """Return the names of torchvision's classifiers of images."""
    models = importlib.import_module("torchvision.models")
    names: list[str] = models.list_models(module=models)
    return names


def input_size(name: str, arguments: Mapping[str, JsonValue]) -> int:
    """Return the side in pixels of the images that the weights were trained and tested on."""
    size = arguments.get("image_size")
    return size if isinstance(size, int) and size else int(_transforms(name, arguments).crop_size[0])


def build(
    name: str, *, num_outputs: int | None, num_channels: int, pretrained: bool, arguments: Mapping[str, Any]
) -> Network:
    """Return the network with ``num_outputs`` logits, or where they are None with the features before its pooling.

    ``arguments`` may have ``weights``: a name of torchvision's, such as IMAGENET1K_V1, or a file; DEFAULT.

    Raises:
        ConfigError: the weights are unknown or cannot be had.
        TypeError: an argument is unknown.
    """
    size, transforms = input_size(name, arguments), _transforms(name, arguments)
    network = _loaded(name, num_outputs or 1, pretrained, dict(arguments))
    for auxiliary in _AUXILIARY:
        if hasattr(network, auxiliary):
            setattr(network, auxiliary, None)
            network.aux_logits = False
    mean, std = transforms.mean, transforms.std
    if getattr(network, "transform_input", False):  # from ImageNet's statistics to those it was trained with
        network.transform_input = False
        mean, std = [0.5] * 3, [0.5] * 3
    if num_channels != 3:
        replace_first_convolution(network, num_channels)
    if num_outputs is not None:
        last = last_layer(network)[1]
        return Network(module=network, fresh=(last,), logits=(last,), mean=mean, std=std, input_size=size)
    features = features_of(network)
    shape = on_meta(features, torch.empty(1, num_channels, size, size, device="meta")).shape
    num_features = shape[1] if len(shape) == 4 else shape[2]
    return Network(module=features, fresh=(), num_features=num_features, mean=mean, std=std, input_size=size)


def _loaded(name: str, num_outputs: int, pretrained: bool, arguments: dict[str, Any]) -> Any:
    """Return torchvision's network with a fresh last layer."""
    from torchvision.models import get_model

    weights = arguments.pop("weights", None)
    if pretrained and not names_a_file(weights):
        entry = _entry(name, weights)
        with downloading(name, f"{entry.url} (or {_cached(entry.url)})"):
            network = get_model(name, weights=entry, **arguments)
        replace_last_layer(network, num_outputs)
        return network
    if name.startswith("vit_"):
        arguments.setdefault("image_size", input_size(name, {"weights": weights}))
    if name in _SLOW_TO_DRAW:
        arguments.setdefault("init_weights", False)
    network = get_model(name, weights=None, num_classes=num_outputs, **arguments)
    if pretrained:
        load_weights(network, weights, but=[last_layer(network)[1]])
    return network


def _entry(name: str, weights: object) -> Any:
    """Return torchvision's weights of this name, DEFAULT for None and for a file.

    Raises:
        ConfigError: the model has no weights of that name, or none at all.
    """
    from torchvision.models import get_model_weights

    entries = get_model_weights(name)
    known = ["DEFAULT", *(entry.name for entry in entries)]
    wanted = "DEFAULT" if weights is None or names_a_file(weights) else str(weights)
    if wanted not in known:
        raise ConfigError(f"model {name!r}: model_args 'weights': unknown weights {wanted!r}{suggest(wanted, known)}")
    return entries[wanted]


def _transforms(name: str, arguments: Mapping[str, JsonValue]) -> Any:
    """Return what torchvision does to an image before the network: ``crop_size``, ``mean`` and ``std``."""
    return _entry(name, arguments.get("weights")).transforms()


def _cached(url: str) -> str:
    return f"{torch.hub.get_dir()}/checkpoints/{url.rpartition('/')[2]}"


# Features -----------------------------------------------------------------------------------------------------------


class TransformerTokens(nn.Module):
    """The patches' tokens of a VisionTransformer, without the class token."""

    def __init__(self, network: nn.Module) -> None:
        """Take all of ``network`` but its classifier."""
        super().__init__()
        self.network = network
        self.network.heads = nn.Identity()

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, L, E) tokens, as ``VisionTransformer.forward`` makes them."""
        network: Any = self.network
        patches_NLE = network._process_input(images_NCHW)
        class_tokens = network.class_token.expand(len(patches_NLE), -1, -1)
        tokens: Tensor = network.encoder(torch.cat([class_tokens, patches_NLE], dim=1))
        return tokens[:, 1:]


def features_of(network: nn.Module) -> nn.Module:
    """Return the part of a torchvision classifier before its pooling: (N, E, H, W), or (N, L, E) of a transformer.

    Every family but the VisionTransformer runs its children in the order of their definition, up to the pooling. Three
    do something between the two that is no child: DenseNet's last ReLU; the norm that ConvNeXt has in its classifier;
    and the list of blocks of MaxVit.
    """
    family = type(network).__name__
    if family == "VisionTransformer":
        return TransformerTokens(network)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, child in network.named_children():
        if name in _AFTER_FEATURES:
            break
        if isinstance(child, nn.ModuleList):
            layers.update({f"{name}{number}": block for number, block in enumerate(child)})
        elif name not in _AUXILIARY:
            layers[name] = child
    if family == "DenseNet":
        layers["relu"] = nn.ReLU(inplace=True)
    if family == "ConvNeXt":
        layers["norm"] = network.get_submodule("classifier.0")
    return nn.Sequential(layers)


# Layers that are replaced -------------------------------------------------------------------------------------------


def replace_last_layer(network: nn.Module, num_outputs: int) -> None:
    """Put a fresh layer with ``num_outputs`` in the place of the network's last one."""
    name, last = last_layer(network)
    if isinstance(last, nn.Linear):
        _put(network, name, nn.Linear(last.in_features, num_outputs))
    else:
        _put(network, name, nn.Conv2d(last.in_channels, num_outputs, last.kernel_size))  # type: ignore[arg-type]


def replace_first_convolution(network: nn.Module, num_channels: int) -> None:
    """Let the first convolution take ``num_channels``: its filters are repeated, and scaled to the same sum."""
    name, first = next((name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        repeats = -(-num_channels // first.in_channels)
        weight = first.weight.repeat(1, repeats, 1, 1)[:, :num_channels] * first.in_channels / num_channels
        fresh = nn.Conv2d(
            num_channels, first.out_channels, first.kernel_size, first.stride, first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        )  # fmt: skip
        fresh.weight.copy_(weight)
        if first.bias is not None and fresh.bias is not None:
            fresh.bias.copy_(first.bias)
    _put(network, name, fresh)


def _put(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent_name, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent_name), attribute, layer)
