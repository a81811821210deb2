"""How deep each parameter of a network lies, and which of them nothing is pretrained for.

Both are told from the network itself, so that they hold for our own networks, torchvision's and timm's alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from torch import nn

from kaggle_ray.models.table import JoinedTable, NormedTable, TableOnly

_NUMBERED = re.compile(r"\d[a-z]?$")
"""The end of a stage's or block's name: ``layer3``, ``features.5``, ``Mixed_5b``."""
_ENCODERS = ("stem.", "encoder.", "encoders.")
"""Of a network that has a decoder."""


def fresh_names(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that start afresh where the rest is pretrained.

    They are the last layer of a classifier; all but the encoder of a network with a decoder; beside a table, its branch
    and what joins it to the image; and all of a network that looks at no image.
    """
    names = frozenset(name for name, _ in network.named_parameters())
    if isinstance(network, TableOnly):
        return names
    if isinstance(network, JoinedTable | NormedTable):
        inner = frozenset(f"network.{name}" for name in fresh_names(network.network))
        return inner | {name for name in names if not name.startswith("network.")}
    if hasattr(network, "decoder") or hasattr(network, "decoders"):
        return frozenset(name for name in names if not name.startswith(_ENCODERS))
    heads = tuple(f"{name}." for name in _last_layers(network))
    return frozenset(name for name in names if name.startswith(heads))


def _last_layers(network: nn.Module) -> list[str]:
    """Return the names of a classifier's last layer; a distilled transformer of timm's has two."""
    modules = dict(network.named_modules())
    if hasattr(network, "get_classifier"):
        named: Any = network.get_classifier()  # type: ignore[operator]
        last = named if isinstance(named, tuple | list) else (named,)
        return [name for name, module in modules.items() if any(module is each for each in last)]
    linears = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    layers = [name for name, module in modules.items() if any(True for _ in module.parameters(recurse=False))]
    return (linears or layers)[-1:]


def depths(network: nn.Module) -> dict[str, int]:
    """Return the name of each parameter -> how many stages it lies below the head: 0 for what ``fresh_names`` names.

    The stages of timm's networks are its own (``group_matcher``: a block is a stage). Elsewhere a stage is all that
    comes, in the order of ``named_parameters``, under one name up to its first part that ends in a number, such as
    ``layer3`` or ``features.5``. What has no such part, or consists of biases and scales alone, belongs to the stage
    before it, and at the beginning to the first. So the first convolution and its normalisation are one stage.
    """
    fresh = fresh_names(network)
    prefix, inner = "", network
    while isinstance(inner, JoinedTable | NormedTable):
        prefix, inner = f"{prefix}network.", inner.network
    of_inner = _timm_stages(inner) if hasattr(inner, "group_matcher") else _stages(inner, but=fresh_names(inner))
    top = max(of_inner.values(), default=0)
    below = {f"{prefix}{name}": top - number for name, number in of_inner.items()}
    return {name: 0 if name in fresh else below[name] for name, _ in network.named_parameters()}


def _timm_stages(network: Any) -> Mapping[str, int]:
    """Return the name of each parameter -> the number of its stage, 0 for the first and the head's the last."""
    from timm.models import group_parameters

    numbers: dict[str, int] = group_parameters(network, network.group_matcher(coarse=False), reverse=True)
    return numbers


def _stages(network: nn.Module, *, but: frozenset[str]) -> dict[str, int]:
    """Return the same by the parameters' names; those in ``but`` are the last stage."""
    dimensions = {name: parameter.ndim for name, parameter in network.named_parameters()}
    numbers: dict[str, int] = {}
    number = -1
    for stage, group in groupby((name for name in dimensions if name not in but), key=_stage_name):
        names = list(group)
        if number < 0 or (stage and any(dimensions[name] > 1 for name in names)):
            number += 1
        numbers |= dict.fromkeys(names, number)
    return numbers | dict.fromkeys(but, number + 1)


def _stage_name(parameter: str) -> str:
    """Return the path of modules up to the first that ends in a number; empty where none does."""
    modules = parameter.split(".")[:-1]
    for end, module in enumerate(modules, start=1):
        if _NUMBERED.search(module):
            return ".".join(modules[:end])
    return ""
