"""Segmenters of segmentation-models-pytorch as ``smp/<architecture>``, on an encoder with its library's weights.

``model_args`` name the ``encoder``, such as ``resnet34`` (the default) or timm's as ``tu-<name>``; the rest goes to the
architecture. Shape suffixes: N samples, K outputs per pixel, H and W pixels.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
from segmentation_models_pytorch import MODEL_ARCHITECTURES_MAPPING, encoders
from torch import Tensor, nn

from kaggle_ray.config.model import names_a_file
from kaggle_ray.config.packaged import PackagedWeights, packaged_weights
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.models.first_logits import logits_layers
from kaggle_ray.models.network import IMAGENET_MEAN, IMAGENET_STD, Network
from kaggle_ray.models.padding import padded
from kaggle_ray.models.timm_models import state_of
from kaggle_ray.models.weights import check_loaded, downloading, load_weights, loads_noted, read_weights

PREFIX = "smp/"
_TIMM = "tu-"
_OURS = ("in_channels", "classes", "encoder_name", "encoder_weights", "activation", "aux_params", "self", "kwargs")
"""Arguments of smp's that follow from the competition, have another name here, or change what comes out."""


class CroppedSegmenter(nn.Module):
    """A segmenter of images of any size: they are padded to what the encoder can halve, and the masks cropped."""

    def __init__(self, network: nn.Module, multiple: int) -> None:
        """Pad sides to multiples of ``multiple``."""
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, images_NCHW: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return (N, K, H, W) logits, beside (N, C) of the images where the network has them."""
        height, width = images_NCHW.shape[2:]
        output: Tensor | tuple[Tensor, Tensor] = self.network(padded(images_NCHW, self.multiple))
        if isinstance(output, Tensor):
            return output[:, :, :height, :width]
        return output[0][:, :, :height, :width], output[1]


def check_name(name: str) -> None:
    """Raise ConfigError, with the nearest known name, where smp has no such architecture."""
    architecture = name.removeprefix(PREFIX)
    if architecture not in MODEL_ARCHITECTURES_MAPPING:
        raise ConfigError(f"unknown smp model {architecture!r}{suggest(architecture, MODEL_ARCHITECTURES_MAPPING)}")


def input_size(arguments: Mapping[str, Any]) -> int | None:
    """Return the height in pixels of the images that a timm encoder was trained on; smp does not tell its own's."""
    cfg = _timm_cfg(_encoder_of(arguments))
    return None if cfg is None else int(cfg.input_size[1])


def build(
    name: str,
    *,
    num_outputs: int,
    num_image_outputs: int = 0,
    num_channels: int,
    pretrained: bool,
    arguments: Mapping[str, Any],
) -> Network:
    """Return the segmenter; its decoder and its last layers are fresh: smp's classification head among them.

    ``arguments`` may have ``weights``: smp's name of an encoder's weights, or a file of them; imagenet.

    Raises:
        ConfigError: an encoder, its weights or an argument are unknown, or the weights cannot be had.
        ValueError: of smp's, about the value of an argument.
    """
    architecture = MODEL_ARCHITECTURES_MAPPING[name.removeprefix(PREFIX)]
    encoder = _encoder_of(arguments)
    _check_encoder(name, encoder)
    own = {key: value for key, value in arguments.items() if key not in ("encoder", "weights")}
    if not encoder.startswith(_TIMM):  # smp would pass over what it does not know
        _check_arguments(name, architecture, own)
    weights = _weights_of(name, encoder, arguments) if pretrained else _EncoderWeights()
    of_model = {"encoder_name": encoder, "in_channels": num_channels, "classes": num_outputs, **own, **weights.told}
    if num_image_outputs:
        of_model["aux_params"] = {"classes": num_image_outputs, "dropout": None}
    network, statistics = _made(name, architecture, of_model, weights)
    scale = statistics["input_range"][1]
    fresh = [part for child, part in network.named_children() if child != "encoder" and part is not None]
    return Network(
        module=CroppedSegmenter(network, network.encoder.output_stride),
        fresh=tuple(fresh),
        logits=(
            *logits_layers(network.segmentation_head, num_outputs),
            *(logits_layers(network.classification_head, num_image_outputs) if num_image_outputs else ()),
        ),
        mean=[value / scale for value in statistics["mean"]],
        std=[value / scale for value in statistics["std"]],
        input_size=input_size(arguments),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _EncoderWeights:
    """Where the weights of an encoder are from; from nowhere, where it begins afresh."""

    chosen: str | None = None
    """Name that smp has for those that are loaded as the network is made."""
    source: str = ""
    """Where these are from, for messages."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """Arguments by which timm is told of others than its own."""
    package: PackagedWeights | None = None
    """The package that brings them without a download."""
    file: str | None = None
    """File that is read into the encoder once the network is made."""


def _weights_of(name: str, encoder: str, arguments: Mapping[str, Any]) -> _EncoderWeights:
    """Return where pretrained weights are from. Raises ConfigError where there are none, or they cannot be read."""
    weights = arguments.get("weights")
    file = weights if names_a_file(weights) else None
    if file is not None and not encoder.startswith(_TIMM):
        return _EncoderWeights(file=file)
    told: dict[str, Any] = {}
    if file is not None:  # timm loads it, whatever the channels
        read_weights(file)
        told["pretrained_cfg_overlay"] = {"file": file}
    package = packaged_weights(name, arguments)
    if package is not None and package.path is not None:
        told["pretrained_cfg_overlay"] = {"state_dict": state_of(package)}
    chosen = _weights_name(name, encoder, None if file is not None else weights)
    source = file or f"the Hugging Face hub ({_hub_of(encoder, chosen)})"
    return _EncoderWeights(chosen=chosen, source=source, told=told, package=package)


def _made(
    name: str, architecture: Any, of_model: Mapping[str, Any], weights: _EncoderWeights
) -> tuple[Any, Mapping[str, Any]]:
    """Return the network with the weights of its encoder, and the statistics of the images that these take."""
    encoder = of_model["encoder_name"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if weights.chosen is None:
            network = architecture(encoder_weights=None, **of_model)
            if weights.file is not None:
                load_weights(network.encoder, weights.file)
            return network, _known_statistics(encoder)
        with downloading(name, weights.source, package=weights.package), loads_noted() as loads:
            # timm's weights are part of the encoder's name: smp asks whether there are to be some
            network = architecture(encoder_weights=encoder.startswith(_TIMM) or weights.chosen, **of_model)
            statistics = encoders.get_preprocessing_params(encoder, pretrained=weights.chosen)
        if (given := of_model.get("pretrained_cfg_overlay", {}).get("file")) is not None:
            check_loaded(loads, given, classifier=_timm_cfg(encoder).classifier)
        return network, statistics


def _encoder_of(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("encoder", "resnet34"))


def _check_encoder(name: str, encoder: str) -> None:
    if encoder.startswith(_TIMM):
        known = [f"{_TIMM}{model}" for model in timm.list_models()]
        is_known = encoder.partition(".")[0] in known
    else:
        known = encoders.get_encoder_names()
        is_known = encoder in known
    if not is_known:
        raise ConfigError(f"model {name!r}: unknown encoder {encoder!r}{suggest(encoder, known)}")


def _check_arguments(name: str, architecture: Any, arguments: Mapping[str, Any]) -> None:
    known = ["encoder", "weights", *(key for key in inspect.signature(architecture).parameters if key not in _OURS)]
    for key in arguments:
        if key not in known:
            raise ConfigError(f"model {name!r}: unknown model_args {key!r}{suggest(key, known)}")


def _weights_name(name: str, encoder: str, weights: object) -> str:
    """Return smp's name of the encoder's weights: ``weights``, imagenet where there are such, else the first.

    Raises:
        ConfigError: the encoder has none of that name.
    """
    if encoder.startswith(_TIMM):
        return "imagenet"  # for the name of its statistics
    known = list(encoders.encoders[encoder]["pretrained_settings"])
    chosen = weights or ("imagenet" if "imagenet" in known else known[0])
    if chosen not in known:
        raise ConfigError(
            f"model {name!r}: encoder {encoder!r}: unknown weights {chosen!r}{suggest(str(chosen), known)}"
        )
    return str(chosen)


def _hub_of(encoder: str, weights: str) -> str:
    if encoder.startswith(_TIMM):
        return encoder.removeprefix(_TIMM)
    return str(encoders.encoders[encoder]["pretrained_settings"][weights]["repo_id"])


def _known_statistics(encoder: str) -> Mapping[str, Any]:
    """Return mean, std and range of the encoder's images, as far as they are known without a download."""
    cfg = _timm_cfg(encoder)
    if cfg is None:
        return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "input_range": [0, 1]}
    return {"mean": cfg.mean, "std": cfg.std, "input_range": [0, 1]}


def _timm_cfg(encoder: str) -> Any:
    return timm.get_pretrained_cfg(encoder.removeprefix(_TIMM)) if encoder.startswith(_TIMM) else None
