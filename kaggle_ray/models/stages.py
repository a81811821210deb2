"""How deep each parameter of a network lies below its head, told from the network itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any

from torch import nn

_NUMBERED = re.compile(r"\d[a-z]?$")
"""The end of a stage's or block's name: ``layer3``, ``features.5``, ``Mixed_5b``."""


def depths(network: nn.Module, *, fresh: Collection[str]) -> dict[str, int]:
    """Return the name of each parameter -> how many stages it lies below the head: 0 for what is fresh.

    The stages of timm's networks are its own (``group_matcher``: a block is a stage). Elsewhere a stage is all that
    comes, in the order of ``named_parameters``, under one name up to its first part that ends in a number, such as
    ``layer3`` or ``features.5``. What has no such part, or consists of biases and scales alone, belongs to the stage
    before it, and at the beginning to the first. So the first convolution and its normalisation are one stage.

    Args:
        network: our own, torchvision's, timm's, or one of them under our head or beside a table.
        fresh: names of the parameters that nothing is pretrained for.
    """
    of_timm = [(name, module) for name, module in network.named_modules() if hasattr(module, "group_matcher")]
    if of_timm:
        prefix, inner = of_timm[0]
        numbers = {f"{prefix}.{name}".lstrip("."): number for name, number in _timm_stages(inner).items()}
    else:
        numbers = _stages(network, but=fresh)
    of_head = [numbers[name] for name in fresh if name in numbers]
    top = max(of_head) if of_head else max(numbers.values(), default=-1) + 1
    return {name: 0 if name in fresh else top - numbers[name] for name, _ in network.named_parameters()}


def _timm_stages(network: Any) -> Mapping[str, int]:
    """Return the name of each parameter -> the number of its stage, 0 for the first."""
    from timm.models import group_parameters

    numbers: dict[str, int] = group_parameters(network, network.group_matcher(coarse=False), reverse=True)
    return numbers


def _stages(network: nn.Module, *, but: Collection[str]) -> dict[str, int]:
    """Return the same by the parameters' names, without those in ``but``."""
    dimensions = {name: parameter.ndim for name, parameter in network.named_parameters()}
    numbers: dict[str, int] = {}
    number = -1
    for stage, group in groupby((name for name in dimensions if name not in but), key=_stage_name):
        names = list(group)
        if number < 0 or (stage and any(dimensions[name] > 1 for name in names)):
            number += 1
        numbers |= dict.fromkeys(names, number)
    return numbers


def _stage_name(parameter: str) -> str:
    """Return the path of modules up to the first that ends in a number; empty where none does."""
    modules = parameter.split(".")[:-1]
    for end, module in enumerate(modules, start=1):
        if _NUMBERED.search(module):
            return ".".join(modules[:end])
    return ""
