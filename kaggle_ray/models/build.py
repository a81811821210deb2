"""Builds a model by name with the right number of outputs, under its own last layer or under our head."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from kaggle_ray.config.model import TABLE_MODELS, Fuse
from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import timm_models, torchvision_models
from kaggle_ray.models.first_logits import start_small
from kaggle_ray.models.head import HeadedNetwork, HeadOptions, PooledNetwork, head_layers, parse_head
from kaggle_ray.models.model import Model
from kaggle_ray.models.network import Network
from kaggle_ray.models.own import with_features, with_logits
from kaggle_ray.models.registry import MODELS, SEGMENTERS, SMP_PREFIX, check_model_name, smp_models
from kaggle_ray.models.shapes import Shapes
from kaggle_ray.models.table import JoinedTable, NormedTable, TableNorm, TableOnly
from kaggle_ray.registry import Registry
from kaggle_ray.types import JsonValue


def build_model(
    name: str,
    shapes: Shapes,
    *,
    pretrained: bool = False,
    model_args: Mapping[str, JsonValue] | None = None,
    head: Mapping[str, JsonValue] | None = None,
    fuse: Fuse = "mean",
) -> Model:
    """Return a model of the competition's shapes.

    Weights come from torch's global random generator, or where ``pretrained`` from the library's own loading, with a
    fresh head. Where a library, or a user's network, makes the logits, the weights of that layer are scaled down
    (``kaggle_ray.models.first_logits``); heads of ours start as torch draws them. ``model_args`` of a library's model
    may name other ``weights``: a name of the library's, or a file. ``"table": false`` leaves the competition's table
    out. Of a classifier beside a table they may name ``embedding`` and ``table_width`` (features of image and table, 64
    each) and ``table_dropout``; with a ``head``, the image's features are those that it pools, and the rest of it
    stands above both. ``fuse`` is of a sample's several images; where it is of their features the head is ours.

    Raises:
        ConfigError: the name or an argument of it is unknown, the head is none that the model takes, the weights cannot
            be had, or the model is of another task.
    """
    check_model_name(name)
    arguments, options = dict(model_args or {}), parse_head(head or {})
    if not arguments.pop("table", True):
        shapes = dataclasses.replace(shapes, num_table_columns=0)
    _check_task(name, shapes)
    if options is not None and (shapes.num_pixel_outputs or name in TABLE_MODELS):
        raise ConfigError(f"model {name!r}: head is for classifiers of images. Leave it empty.")
    if fuse != "mean":
        _check_fuse(name, shapes, fuse)
        options = options or HeadOptions()
    # RuntimeErrors say that tensors have no values, too: see ``built_without_values``.
    with users_code(f"model {name!r} with model_args {dict(model_args or {})}", leave=(RuntimeError,)):
        network = _built(name, shapes, pretrained, arguments, options)
    start_small(network.logits)
    return Model(network, shapes, fuse)


def _built(
    name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any], options: HeadOptions | None
) -> Network:
    if name in TABLE_MODELS:
        return _build_table_model(name, shapes, arguments)
    if shapes.num_pixel_outputs:
        return _build_segmenter(name, shapes, pretrained, arguments)
    if shapes.num_table_columns:
        return _build_joined(name, shapes, pretrained, arguments, options)
    if options is not None:
        return _build_headed(name, shapes, pretrained, arguments, options)
    return _build_classifier(name, shapes.num_image_outputs, shapes.num_channels, pretrained, arguments)


def _check_task(name: str, shapes: Shapes) -> None:
    segments = name in SEGMENTERS or name.startswith(SMP_PREFIX)
    if shapes.num_pixel_outputs and not segments:
        known = ", ".join([*sorted(SEGMENTERS), f"{SMP_PREFIX}unet", f"{SMP_PREFIX}fpn"])
        raise ConfigError(f"model {name!r} does not segment. Use one of {known}.")
    if not shapes.num_pixel_outputs and segments:
        raise ConfigError(f"model {name!r} is for segmentation. Use a classifier, such as resnet18.")
    if name in TABLE_MODELS and not shapes.num_table_columns:
        raise ConfigError(f"model {name!r} needs a table: the competition has none, or model_args leave it out.")


def _check_fuse(name: str, shapes: Shapes, fuse: Fuse) -> None:
    if shapes.num_pixel_outputs or name in TABLE_MODELS:
        what = "masks are the mean of the images' logits" if shapes.num_pixel_outputs else "a table is no image"
        raise ConfigError(f"model {name!r}: fuse {fuse!r} is for classifiers of images: {what}. Leave it at mean.")
    if shapes.num_views == 1:
        raise ConfigError(f"fuse {fuse!r}: expected several images of an id, there is one. Leave it at mean.")


def _build_table_model(name: str, shapes: Shapes, arguments: dict[str, Any]) -> Network:
    norm = TableNorm(shapes.num_table_columns)
    hidden = tuple(arguments.pop("hidden", () if name == "table_linear" else (64,)))
    network = TableOnly(norm, shapes.num_image_outputs, hidden, **arguments)
    return Network(module=network, fresh=(network,))


def _build_segmenter(name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any]) -> Network:
    if name.startswith(SMP_PREFIX):
        if shapes.num_table_columns:
            raise ConfigError(
                f"model {name!r} takes no table. Leave the table out by model_args {{'table': false}}, or use unet."
            )
        build = smp_models().build
        smp: Network = build(
            name,
            num_outputs=shapes.num_pixel_outputs,
            num_image_outputs=shapes.num_image_outputs,
            num_channels=shapes.num_channels,
            pretrained=pretrained,
            arguments=arguments,
        )
        return smp
    _refuse_pretrained(name, pretrained)
    norm = TableNorm(shapes.num_table_columns) if shapes.num_table_columns else None
    if shapes.num_image_outputs:  # a builder that has never heard of them is called as it was written
        arguments["num_image_outputs"] = shapes.num_image_outputs
    network = SEGMENTERS[name](
        num_outputs=shapes.num_pixel_outputs,
        num_channels=shapes.num_channels,
        num_table_features=norm.num_features if norm else 0,
        **arguments,
    )
    own = _registered(SEGMENTERS, name, network, shapes.num_pixel_outputs)
    return own if norm is None else dataclasses.replace(own, module=NormedTable(network, norm))


def _build_joined(
    name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any], options: HeadOptions | None
) -> Network:
    """Return a classifier of images whose features are joined with the table's."""
    width, dropout = arguments.pop("table_width", 64), arguments.pop("table_dropout", 0.0)
    if options is None:
        num_features = arguments.pop("embedding", 64)
        inner = _build_classifier(name, num_features, shapes.num_channels, pretrained, arguments)
        of_images: nn.Module = nn.ReLU()
        head: nn.Module = nn.Linear(num_features + width, shapes.num_image_outputs)
    else:
        inner = _build_classifier(name, None, shapes.num_channels, pretrained, arguments)
        pooled = PooledNetwork(inner.module, inner.num_features, options)
        num_features = pooled.num_features
        inner = dataclasses.replace(inner, module=pooled, fresh=(pooled.pooling,))
        of_images = nn.Identity()
        head = head_layers(num_features + width, shapes.num_image_outputs, options)
    joined = JoinedTable(
        inner.module, of_images, TableNorm(shapes.num_table_columns), head, width=width, dropout=dropout
    )  # fmt: skip
    fresh = (*inner.fresh, joined.of_table, joined.head)
    return dataclasses.replace(inner, module=joined, fresh=fresh, logits=())


def _build_headed(
    name: str, shapes: Shapes, pretrained: bool, arguments: dict[str, Any], options: HeadOptions
) -> Network:
    inner = _build_classifier(name, None, shapes.num_channels, pretrained, arguments)
    network = HeadedNetwork(inner.module, inner.num_features, shapes.num_image_outputs, options)
    fresh = (network.pooling, network.head)
    return dataclasses.replace(inner, module=network, fresh=fresh, logits=())


def _build_classifier(
    name: str, num_outputs: int | None, num_channels: int, pretrained: bool, arguments: dict[str, Any]
) -> Network:
    """Return the library's network with ``num_outputs`` logits, or where they are None with its features."""
    if name not in MODELS:
        library = timm_models if name.startswith(timm_models.PREFIX) else torchvision_models
        of_library: Network = library.build(
            name, num_outputs=num_outputs, num_channels=num_channels, pretrained=pretrained, arguments=arguments
        )
        return of_library
    _refuse_pretrained(name, pretrained)
    if num_channels != 3:
        arguments = {"num_channels": num_channels, **arguments}
    network = MODELS[name](num_outputs=num_outputs or 1, **arguments)
    return with_features(name, network) if num_outputs is None else _registered(MODELS, name, network, num_outputs)


def _registered(registry: Registry[Any], name: str, network: nn.Module, num_outputs: int) -> Network:
    """Return a network with its logits. The last layer of ours stays as it is drawn: past runs repeat to the byte."""
    made = with_logits(network, num_outputs)
    return dataclasses.replace(made, logits=()) if registry.is_built_in(name) else made


def _refuse_pretrained(name: str, pretrained: bool) -> None:
    if pretrained:
        raise ConfigError(f"model {name!r}: there are no pretrained weights. Set pretrained to false.")
