"""timm's models as ``timm/<name>`` or ``timm/<name>.<weights>``, with its own weights, statistics and image sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_ray.config.model import names_a_file
from kaggle_ray.config.packaged import PackagedWeights, packaged_weights
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.models.first_logits import logits_layers
from kaggle_ray.models.network import Network
from kaggle_ray.models.weights import check_loaded, downloading, loads_noted, read_packaged, read_weights
from kaggle_ray.types import JsonValue

PREFIX = "timm/"


def check_name(name: str) -> None:
    """Raise ConfigError, with the nearest known name, where timm has no such model or no such weights of it."""
    timm, known = _timm(), architectures()
    architecture, _, tag = name.removeprefix(PREFIX).partition(".")
    if architecture not in known:
        raise ConfigError(f"unknown timm model {architecture!r}{suggest(architecture, known)}")
    try:
        _cfg(name)
    except RuntimeError as error:
        tags = [full_name.partition(".")[2] for full_name in timm.list_pretrained(f"{architecture}.*")]
        raise ConfigError(f"timm model {architecture!r}: unknown weights {tag!r}{suggest(tag, tags)}") from error


def architectures() -> list[str]:
    """Return timm's names of its architectures."""
    names: list[str] = _timm().list_models()
    return names


def input_size(name: str, arguments: Mapping[str, JsonValue]) -> int:
    """Return the height in pixels of the images that the weights were trained on."""
    given = arguments.get("img_size")
    size = given[0] if isinstance(given, list | tuple) else given
    return size if isinstance(size, int) and size else int(_cfg(name).input_size[1])


def build(
    name: str, *, num_outputs: int | None, num_channels: int, pretrained: bool, arguments: Mapping[str, Any]
) -> Network:
    """Return the network with ``num_outputs`` logits, or where they are None with the features before its pooling.

    ``arguments`` may have ``weights``: a file. timm names others in the model's name.

    Raises:
        ConfigError: there are no such weights, they cannot be had, or the model's features cannot be taken out.
        TypeError: an argument is unknown.
    """
    keywords = dict(arguments)
    if "checkpoint_path" in keywords:  # whose content would be no part of what the experiment's id is made of
        raise ConfigError(f"model {name!r}: model_args 'checkpoint_path': name the file as 'weights', with pretrained.")
    source = f"the Hugging Face hub ({_cfg(name).hf_hub_id or _cfg(name).url})"
    package = packaged_weights(name, arguments)
    weights = keywords.pop("weights", None)
    if pretrained and weights is not None:
        if not names_a_file(weights):
            raise ConfigError(f"model {name!r}: model_args 'weights': expected a file, got {weights!r}.")
        read_weights(weights)
        keywords["pretrained_cfg_overlay"] = {**keywords.get("pretrained_cfg_overlay", {}), "file": weights}
        source = weights
    elif pretrained and package is not None and package.path is not None:
        keywords["pretrained_cfg_overlay"] = {"state_dict": state_of(package)}
        source = package.package
    elif pretrained and not _cfg(name).has_weights and "pretrained_cfg_overlay" not in keywords:
        raise ConfigError(f"model {name!r}: timm has no pretrained weights of it. Set pretrained to false.")
    if num_outputs is None:
        keywords["global_pool"] = ""
    create = _timm().create_model
    of_model = {"in_chans": num_channels, "num_classes": num_outputs or 0, **keywords}
    told = downloading(name, source, package=package) if pretrained else _refusing(name, num_outputs)
    with told, loads_noted() as loads:
        network = create(name.removeprefix(PREFIX), pretrained=pretrained, **of_model)
    if pretrained and (file := keywords.get("pretrained_cfg_overlay", {}).get("file")) is not None:
        check_loaded(loads, file, classifier=network.pretrained_cfg.get("classifier"))
    cfg = network.pretrained_cfg
    size = input_size(name, arguments)
    if num_outputs is None:
        return Network(
            module=TimmFeatures(network), fresh=(), num_features=_num_features(network),
            mean=cfg["mean"], std=cfg["std"], input_size=size,
        )  # fmt: skip
    if pretrained and num_outputs == cfg["num_classes"]:  # timm has then loaded a head, of other classes
        network.reset_classifier(num_outputs)
    last = network.get_classifier()
    fresh = tuple(last) if isinstance(last, tuple | list | nn.ModuleList) else (last,)
    logits = tuple(layer for head in fresh for layer in logits_layers(head, num_outputs))
    return Network(module=network, fresh=fresh, logits=logits, mean=cfg["mean"], std=cfg["std"], input_size=size)


def state_of(package: PackagedWeights) -> dict[str, Tensor]:
    """Return a package's tensors under timm's names. Raises ConfigError where they are not what is known of them."""
    with torch.device("meta"):
        names = list(_timm().create_model(package.model).state_dict())
    return read_packaged(package, names)


@contextmanager
def _refusing(name: str, num_outputs: int | None) -> Iterator[None]:
    """Say of a model that does not come without its pooling that it takes no head."""
    try:
        yield
    except (AssertionError, ValueError) as error:
        if num_outputs is not None:
            raise
        raise ConfigError(f"model {name!r} takes no other head: {str(error).rstrip('.')}. Leave head empty.") from error


class TimmFeatures(nn.Module):
    """A timm network that was built without pooling and classifier, its features laid out as torch's are."""

    def __init__(self, network: nn.Module) -> None:
        """Read from ``network`` how it lays its features out."""
        super().__init__()
        self.network = network
        self.is_channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        self.num_prefix_tokens = int(getattr(network, "num_prefix_tokens", 0))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, E, H, W), or (N, L, E) tokens without those of the class."""
        features = self.network(images_NCHW)
        if not isinstance(features, Tensor):
            raise ConfigError(f"timm's {type(self.network).__name__} has no one map of features. Leave head empty.")
        if features.ndim == 4:
            return features.permute(0, 3, 1, 2) if self.is_channels_last else features
        return features[:, self.num_prefix_tokens :]


def _num_features(network: nn.Module) -> int:
    """Return the channels of what timm's ``forward`` gives without pooling and classifier."""
    num_features: int = getattr(network, "head_hidden_size", None) or network.num_features  # type: ignore[assignment]
    return num_features


def _cfg(name: str) -> Any:
    """Return timm's facts about the weights, those of the architecture alone where it has no weights."""
    timm = _timm()
    cfg = timm.get_pretrained_cfg(name.removeprefix(PREFIX))
    return cfg if cfg is not None else timm.models.PretrainedCfg()


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ConfigError("timm's models need the extra: pip install 'kaggle-ray[timm]'.") from error
    return timm
