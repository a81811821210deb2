"""Builds a model by name with the right number of outputs, and knows how its input is normalised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.images.color import normalize
from kaggle_ray.models.shapes import Shapes
from kaggle_ray.models.table import JoinedTable, NormedTable, TableNorm, TableOnly
from kaggle_ray.types import JsonValue

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
EXTRA_MEAN, EXTRA_STD = 0.5, 0.25
"""Of channels beyond red, green and blue."""
TIMM_PREFIX = "timm/"

_BUILDERS: dict[str, Callable[..., nn.Module]] = {}
_SEGMENTERS: dict[str, Callable[..., nn.Module]] = {}

TABLE_MODELS = ("table_linear", "table_mlp")
"""Models of the table alone: they look at no image."""


class Model(nn.Module):
    """A network with the normalisation of its inputs in front, for every kind of competition."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        shapes: Shapes,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        """Normalise images with ``mean`` and ``std`` of their channels, in the range 0..1.

        ``network`` takes the images, the images and the table, or the table alone.
        """
        super().__init__()
        self.network = network
        self.shapes = shapes
        self.register_buffer("mean", _per_channel(mean, shapes.num_channels, EXTRA_MEAN), persistent=False)
        self.register_buffer("std", _per_channel(std, shapes.num_channels, EXTRA_STD), persistent=False)

    @property
    def uses_images(self) -> bool:
        """Whether images are looked at, so that they have to be read."""
        return not isinstance(self.network, TableOnly)

    def fit_table(self, table_ND: Tensor) -> None:
        """Take the scale of the table's columns from the training rows (N, D)."""
        for module in self.modules():
            if isinstance(module, TableNorm):
                module.fit(table_ND)

    def forward(self, images: Tensor, table_ND: Tensor | None = None) -> Tensor:
        """Return (N, C) logits, or (N, K, H, W) for segmentation.

        Args:
            images: (N, C, H, W) values 0..1, or (N, V, C, H, W) where a sample has several: the logits are the mean.
            table_ND: (N, D), where the competition has a table.
        """
        if images.ndim == 5:
            num_views = images.shape[1]
            repeated = None if table_ND is None else table_ND.repeat_interleave(num_views, dim=0)
            return self(images.flatten(0, 1), repeated).unflatten(0, (-1, num_views)).mean(dim=1)  # type: ignore[no-any-return]
        logits: Tensor
        if not self.uses_images:
            logits = self.network(table_ND)
        elif self.shapes.num_table_columns:
            logits = self.network(normalize(images, self.mean, self.std), table_ND)
        else:
            logits = self.network(normalize(images, self.mean, self.std))
        return logits


def _per_channel(values: Sequence[float], num_channels: int, extra: float) -> Tensor:
    """Return (1, num_channels, 1, 1); channels beyond red, green and blue have no statistics to go by."""
    known = list(values)[:num_channels]
    return torch.tensor([*known, *[extra] * (num_channels - len(known))]).view(1, num_channels, 1, 1)


def register_model(name: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Register a builder ``(num_outputs, num_channels=..., **model_args) -> nn.Module`` of classifiers under ``name``.

    A builder that takes no ``num_channels`` is for images of three.
    """

    def register(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        _BUILDERS[name] = builder
        return builder

    return register


def register_segmenter(name: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Register a builder ``(num_outputs, num_channels, num_table_features, **model_args)`` of segmenters."""

    def register(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        _SEGMENTERS[name] = builder
        return builder

    return register


def build_model(
    name: str, shapes: Shapes, *, pretrained: bool = False, model_args: Mapping[str, JsonValue] | None = None
) -> Model:
    """Return a model of the competition's shapes.

    Weights come from torch's global random generator, or where ``pretrained`` from the library's own loading, with a
    fresh last layer. Of a classifier beside a table, ``model_args`` may name ``embedding`` and ``table_width``
    (features of image and table, 64 each) and ``table_dropout``.

    Raises:
        ConfigError: the name or an argument of it is unknown, our own model is asked for pretrained weights, or the
            model is of another task.
    """
    check_model_name(name)
    _check_task(name, shapes)
    arguments = dict(model_args or {})
    try:
        if name in TABLE_MODELS:
            return _build_table_model(name, shapes, arguments)
        if shapes.segments:
            return _build_segmenter(name, shapes, pretrained, arguments)
        if shapes.num_table_columns:
            return _build_joined(name, shapes, pretrained, arguments)
        return _build_classifier(name, shapes, pretrained, arguments)
    except TypeError as error:
        raise ConfigError(f"model {name!r} with model_args {arguments}: {error}.") from error


def _check_task(name: str, shapes: Shapes) -> None:
    if shapes.segments and name not in _SEGMENTERS:
        raise ConfigError(f"model {name!r} does not segment. Use one of {', '.join(sorted(_SEGMENTERS))}.")
    if not shapes.segments and name in _SEGMENTERS:
        raise ConfigError(f"model {name!r} is for segmentation. Use a classifier, such as resnet18.")
    if name in TABLE_MODELS and not shapes.num_table_columns:
        raise ConfigError(f"model {name!r} needs a table, and the competition has none.")


def _build_table_model(name: str, shapes: Shapes, arguments: dict[str, Any]) -> Model:
    norm = TableNorm(shapes.num_table_columns)
    hidden = tuple(arguments.pop("hidden", () if name == "table_linear" else (64,)))
    return Model(TableOnly(norm, shapes.num_outputs, hidden, **arguments), shapes)


def _build_segmenter(name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any]) -> Model:
    if pretrained:
        raise ConfigError(f"model {name!r}: there are no pretrained weights. Set pretrained to false.")
    norm = TableNorm(shapes.num_table_columns) if shapes.num_table_columns else None
    network = _SEGMENTERS[name](
        num_outputs=shapes.num_outputs,
        num_channels=shapes.num_channels,
        num_table_features=norm.num_features if norm else 0,
        **arguments,
    )
    return Model(network if norm is None else NormedTable(network, norm), shapes)


def _build_joined(name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any]) -> Model:
    """Return a classifier of images whose features are joined with the table's."""
    num_features = arguments.pop("embedding", 64)
    width, dropout = arguments.pop("table_width", 64), arguments.pop("table_dropout", 0.0)
    of_images = Shapes(num_outputs=num_features, num_channels=shapes.num_channels)
    inner = _build_classifier(name, of_images, pretrained, arguments)
    joined = JoinedTable(
        inner.network, TableNorm(shapes.num_table_columns), shapes.num_outputs,
        num_features=num_features, width=width, dropout=dropout,
    )  # fmt: skip
    model = Model(joined, shapes)
    model.mean, model.std = inner.mean, inner.std
    return model


def _build_classifier(name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any]) -> Model:
    if name in _BUILDERS:
        if pretrained:
            raise ConfigError(f"model {name!r}: there are no pretrained weights. Set pretrained to false.")
        if shapes.num_channels != 3:
            arguments = {"num_channels": shapes.num_channels, **arguments}
        return Model(_BUILDERS[name](num_outputs=shapes.num_outputs, **arguments), shapes)
    if name.startswith(TIMM_PREFIX):
        return _build_timm(name.removeprefix(TIMM_PREFIX), shapes, pretrained, arguments)
    return _build_torchvision(name, shapes, pretrained, arguments)


def check_model(name: str, model_args: Mapping[str, JsonValue], shapes: Shapes) -> None:
    """Raise ConfigError where no library has a model of this name that takes these arguments; no weights are made."""
    with torch.device("meta"):
        build_model(name, shapes, model_args=model_args)


def check_model_name(name: str) -> None:
    """Raise ConfigError, with the nearest known name, where no library has a model of this name."""
    if name in _BUILDERS or name in _SEGMENTERS or name in TABLE_MODELS:
        return
    if name.startswith(TIMM_PREFIX):
        known = _timm().list_models()
        architecture = name.removeprefix(TIMM_PREFIX).partition(".")[0]
        if architecture not in known:
            raise ConfigError(f"unknown timm model {architecture!r}{suggest(architecture, known)}")
        return
    from torchvision.models import list_models

    known = [*_BUILDERS, *_SEGMENTERS, *TABLE_MODELS, *list_models(module=__import__("torchvision").models)]
    if name not in known:
        raise ConfigError(f"unknown model {name!r}{suggest(name, known)} timm's models are named {TIMM_PREFIX}<name>.")


def _build_torchvision(name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any]) -> Model:
    from torchvision.models import get_model

    if pretrained:
        network = get_model(name, weights="DEFAULT", **arguments)
        replace_last_linear(network, shapes.num_outputs)
    else:
        network = get_model(name, weights=None, num_classes=shapes.num_outputs, **arguments)
    if shapes.num_channels != 3:
        replace_first_convolution(network, shapes.num_channels)
    return Model(network, shapes)


def _build_timm(name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any]) -> Model:
    network = _timm().create_model(
        name, pretrained=pretrained, num_classes=shapes.num_outputs, in_chans=shapes.num_channels, **arguments
    )
    statistics = network.pretrained_cfg
    return Model(network, shapes, mean=statistics["mean"], std=statistics["std"])


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
    parent_name, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent_name), attribute, fresh)
