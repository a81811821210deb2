"""Finds out whether a model can be built, and takes the images of an experiment, before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from kaggle_ray.config.model import Fuse
from kaggle_ray.config.users_code import users_code, users_line
from kaggle_ray.errors import ConfigError
from kaggle_ray.models.build import build_model
from kaggle_ray.models.model import Model
from kaggle_ray.models.network import on_meta
from kaggle_ray.models.registry import is_own
from kaggle_ray.models.shapes import Shapes
from kaggle_ray.types import JsonValue


def check_model(
    name: str,
    shapes: Shapes,
    *,
    model_args: Mapping[str, JsonValue] | None = None,
    head: Mapping[str, JsonValue] | None = None,
    fuse: Fuse = "mean",
    pretrained: bool = False,
    sides: Collection[tuple[int, int]] = (),
    freeze_stages: int = 0,
    freeze_names: Sequence[str] = (),
    keeps_stages: bool = False,
    gradient_checkpointing: bool = False,
) -> None:
    """Raise ConfigError where a model cannot be built so, frozen so, or takes no images of these heights and widths.

    Shapes are found without memory or computing. Pretrained weights are loaded for once, so that a download happens, or
    fails, before any trial starts.
    """
    arguments = model_args or {}
    if "weights" in arguments and not pretrained and not is_own(name):
        raise ConfigError(f"model {name!r}: model_args name weights, and pretrained is false. Set it to true.")
    model = built_without_values(name, shapes, model_args=arguments, head=head, fuse=fuse)
    model.standing_names(num_stages=freeze_stages, patterns=freeze_names)
    if gradient_checkpointing:
        model.checkpoint_gradients()
    check_fits(name, model, sides)
    if pretrained:
        model = build_model(name, shapes, pretrained=True, model_args=arguments, head=head, fuse=fuse)
        if keeps_stages:
            model.split(num_stages=freeze_stages, sides=sides)


def check_sides(
    name: str,
    shapes: Shapes,
    sides: Collection[tuple[int, int]],
    *,
    model_args: Mapping[str, JsonValue],
    head: Mapping[str, JsonValue] | None,
    fuse: Fuse,
) -> None:
    """Raise ConfigError where a model whose weights are there takes no images of these heights and widths."""
    check_fits(name, built_without_values(name, shapes, model_args=model_args, head=head, fuse=fuse), sides)


def built_without_values(
    name: str,
    shapes: Shapes,
    *,
    model_args: Mapping[str, JsonValue] | None,
    head: Mapping[str, JsonValue] | None,
    fuse: Fuse = "mean",
) -> Model:
    """Return a model that takes no memory for its weights, where it can be built so, to look at its shapes.

    Raises:
        ConfigError: it cannot be built at all.
    """
    try:
        with torch.device("meta"):
            return build_model(name, shapes, model_args=model_args, head=head, fuse=fuse)
    except RuntimeError:  # RegNet, for one, reads its widths from tensors, which have no values there
        with users_code(f"model {name!r}"):
            return build_model(name, shapes, model_args=model_args, head=head, fuse=fuse)


def check_fits(name: str, model: Model, sides: Collection[tuple[int, int]]) -> None:
    """Raise ConfigError where a model that was built takes no images of these heights and widths."""
    for height, width in sorted(sides) if model.uses_images else ():
        _check_side(name, model, height, width)


def _check_side(name: str, model: Model, height: int, width: int) -> None:
    shapes = model.shapes
    views = () if model.fusion is None else (shapes.num_views,)
    inputs = [torch.empty(2, *views, shapes.num_channels, height, width, device="meta")]
    if shapes.num_table_columns:
        inputs.append(torch.empty(2, shapes.num_table_columns, device="meta"))
    unfit = (RuntimeError, ValueError, AssertionError, TypeError, IndexError)
    try:
        with users_code(f"model {name!r} at {height} x {width} pixels", leave=unfit):
            output = on_meta(model, *inputs)
    except NotImplementedError:
        return  # it cannot be told without values
    except unfit as error:
        if "meta" in str(error):
            return
        own = f" Its own size is {model.input_size}: set image_size to that, or to 0." if model.input_size else ""
        reason = f"{str(error).rstrip('.')}{users_line(error)}"
        raise ConfigError(f"model {name!r} takes no images of {height} x {width} pixels: {reason}.{own}") from error
    expected = [(2, shapes.num_outputs, height, width) if shapes.segments else (2, shapes.num_outputs)]
    if num := shapes.num_auxiliary_outputs:
        expected.append((2, num, height, width) if shapes.auxiliary_segments else (2, num))
    found = [tuple(logits.shape) for logits in ([output] if isinstance(output, Tensor) else output)]
    if found != expected:
        raise ConfigError(
            f"model {name!r} at {height} x {width} pixels: expected logits of shape {_shown(expected)}, got "
            f"{_shown(found)}. Choose another size or another model."
        )


def _shown(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))
