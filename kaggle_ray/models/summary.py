"""What a network consists of, and what it costs: layers, parameters, operations. Nothing of it is computed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kaggle_ray.config.model import Fuse
from kaggle_ray.models.check import built_without_values, check_fits
from kaggle_ray.models.model import Model
from kaggle_ray.models.network import on_meta
from kaggle_ray.models.registry import SEGMENTERS, SMP_PREFIX
from kaggle_ray.models.shapes import Shapes
from kaggle_ray.types import JsonValue, ModelSize

_DEPTH = 2
"""How deep a layer may lie that is listed by itself, in the modules within one another of a network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerSummary:
    """A module of a network, with all that is in it."""

    name: str
    """Path of the module in the network, with dots."""
    kind: str
    """Name of its class."""
    output: tuple[int, ...] | None
    """Shape of what it makes of one image, without the batch; None where that is no single tensor, or not known."""
    num_parameters: int
    flops: int
    """Operations, as ``ModelSize.flops`` counts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSummary:
    """A network as it takes one image, or those of an id that it fuses."""

    name: str
    input: tuple[int, int, int]
    """Channels, height and width in pixels."""
    num_views: int
    """Images of an id that are fused; 1 where each is taken by itself."""
    size: ModelSize
    layers: tuple[LayerSummary, ...]
    """The outer ones, each with all that is in it."""


def shapes_for(name: str, *, num_outputs: int, num_channels: int, num_views: int = 1) -> Shapes:
    """Return what a model of ``name`` takes and gives, where nothing but that is known."""
    segments = name in SEGMENTERS or name.startswith(SMP_PREFIX)
    return Shapes(num_outputs=num_outputs, num_channels=num_channels, num_views=num_views, segments=segments)


def summarise(
    name: str,
    shapes: Shapes,
    *,
    sides: tuple[int, int],
    model_args: Mapping[str, JsonValue] | None = None,
    head: Mapping[str, JsonValue] | None = None,
    fuse: Fuse = "mean",
    freeze_stages: int | None = 0,
) -> ModelSummary:
    """Return what a model of ``name`` consists of, for images of ``sides``, height and width in pixels.

    Several images of an id that are fused count together. ``freeze_stages`` is how many of the first ones stand still;
    None is all that is not fresh.

    Raises:
        ConfigError: there is no such model, it cannot be built so, or takes no images of these sides.
    """
    model = built_without_values(name, shapes, model_args=model_args, head=head, fuse=fuse)
    named = [(f"network.{name}", name, module) for name, module in model.network.named_modules() if name]
    if model.fusion is not None:
        named.append(("fusion", "fusion", model.fusion))
    listed = {
        layer: (path, module)
        for path, layer, module in named
        if layer.count(".") < _DEPTH and any(True for _ in module.parameters())
    }
    outputs: dict[str, tuple[int, ...]] = {}
    hooks = [
        module.register_forward_hook(partial(_keep_shape, outputs, layer)) for layer, (_, module) in listed.items()
    ]
    try:
        flops = _count_flops(name, model, sides)
    finally:
        for hook in hooks:
            hook.remove()
    layers = tuple(
        LayerSummary(
            name=layer,
            kind=type(module).__name__,
            output=outputs.get(layer),
            num_parameters=_num_parameters(module),
            flops=flops.get(f"Model.{path}", 0),
        )
        for layer, (path, module) in listed.items()
    )
    standing = (
        {layer for layer, _ in model.named_parameters()} - model.fresh_names()
        if freeze_stages is None
        else model.standing_names(num_stages=freeze_stages, patterns=())
    )
    own = [_names(path, module, recurse=False) for path, module in model.named_modules()]
    return ModelSummary(
        name=name,
        input=(shapes.num_channels, *sides),
        num_views=1 if model.fusion is None else shapes.num_views,
        size=ModelSize(
            num_parameters=_num_parameters(model),
            num_layers=sum(map(bool, own)),
            flops=flops.get("Global"),
            num_layers_frozen=sum(bool(names) and names <= standing for names in own),
            flops_frozen=sum(flops.get(f"Model.{path}", 0) for path in _wholly("", model, standing)),
        ),
        layers=layers,
    )


def _count_flops(name: str, model: Model, sides: tuple[int, int]) -> dict[str, int]:
    """Return module -> operations of a forward pass of an id; empty where they cannot be counted without values.

    Raises:
        ConfigError: the model takes no images of these sides.
    """
    shapes = model.shapes
    views = () if model.fusion is None else (shapes.num_views,)
    inputs = [torch.empty(1, *views, shapes.num_channels, *sides, device="meta")]
    if shapes.num_table_columns:
        inputs.append(torch.empty(1, shapes.num_table_columns, device="meta"))
    try:
        with FlopCounterMode(display=False) as counter:
            on_meta(model, *inputs)
    except Exception:  # of whatever code the network is, which may do what a tensor without values cannot
        check_fits(name, model, [sides])
        return {}
    return {module: sum(of_operations.values()) for module, of_operations in counter.get_flop_counts().items()}


def _names(path: str, module: nn.Module, *, recurse: bool = True) -> set[str]:
    """Return the names, in the network, of the parameters of its module at ``path``."""
    return {f"{path}.{name}".lstrip(".") for name, _ in module.named_parameters(recurse=recurse)}


def _wholly(path: str, module: nn.Module, names: Collection[str]) -> Iterator[str]:
    """Yield the paths of the outermost modules, this one or within it, that have no parameters but ``names``."""
    if (own := _names(path, module)) and own <= set(names):
        yield path
        return
    for name, child in module.named_children():
        yield from _wholly(f"{path}.{name}".lstrip("."), child, names)


def _keep_shape(
    outputs: dict[str, tuple[int, ...]], layer: str, module: nn.Module, inputs: object, made: object
) -> None:
    if isinstance(made, Tensor):
        outputs[layer] = tuple(made.shape[1:])


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
