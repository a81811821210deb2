"""Which models there are by name: our own networks, and those of three libraries."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

from torch import nn

from kaggle_ray.config.model import LIBRARIES_OF_MODELS, TABLE_MODELS
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.models import timm_models, torchvision_models
from kaggle_ray.registry import Registry
from kaggle_ray.types import JsonValue

SMP_PREFIX = "smp/"

MODELS: Registry[Callable[..., nn.Module]] = Registry(
    "model", reserved=TABLE_MODELS, of_given=lambda name, build: build
)
"""Builders of our own classifiers, and of those that a competition's file registers."""
SEGMENTERS: Registry[Callable[..., nn.Module]] = Registry("segmenter", of_given=lambda name, build: build)
"""Builders of our own segmenters, and of those that are registered beside them."""


def register_model(name: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Register a builder ``(num_outputs, num_channels=..., **model_args) -> nn.Module`` of classifiers under ``name``.

    A builder that takes no ``num_channels`` is for images of three. ``kaggle_ray.models.own`` says how the network
    tells its features from its last layer.

    >>> from torch import nn
    >>> from kaggle_ray import register_model
    >>> @register_model("linear_of_means")
    ... def linear_of_means(num_outputs, num_channels=3):
    ...     return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(num_channels, num_outputs))

    Raises:
        ConfigError: the name is built in, or another builder has it.
    """
    return MODELS.register(name)


def register_segmenter(name: str) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Register a builder ``(num_outputs, num_channels, num_table_features, **model_args)`` of segmenters."""
    return SEGMENTERS.register(name)


def library_models() -> Iterator[tuple[str, str]]:
    """Yield the models of the libraries that are installed, by the names that an experiment gives them, and whose."""
    yield from ((name, "torchvision's") for name in torchvision_models.model_names())
    if importlib.util.find_spec("timm") is not None:
        yield from ((f"{timm_models.PREFIX}{name}", "timm's") for name in timm_models.architectures())
    if importlib.util.find_spec("segmentation_models_pytorch") is not None:
        own = smp_models().MODEL_ARCHITECTURES_MAPPING
        yield from ((f"{SMP_PREFIX}{name}", "segmentation-models-pytorch's, for masks") for name in own)


def check_model_name(name: str) -> None:
    """Raise ConfigError, with the nearest known name, where no library has a model of this name."""
    if is_own(name):
        return
    if name.startswith(timm_models.PREFIX):
        timm_models.check_name(name)
    elif name.startswith(SMP_PREFIX):
        smp_models().check_name(name)
    else:
        known = [*MODELS.names(), *SEGMENTERS, *torchvision_models.model_names()]
        if name not in known:
            raise ConfigError(f"unknown model {name!r}{suggest(name, known)} {LIBRARIES_OF_MODELS}")


def input_size(name: str, model_args: Mapping[str, JsonValue] | None = None) -> int:
    """Return the side in pixels of the images that the model's library trained it on: for ``image_size`` 0.

    Raises:
        ConfigError: the name is unknown, or the model is for images of any size.
    """
    check_model_name(name)
    arguments, size = model_args or {}, None
    if name.startswith(timm_models.PREFIX):
        size = timm_models.input_size(name, arguments)
    elif name.startswith(SMP_PREFIX):
        size = smp_models().input_size(arguments)
    elif not is_own(name):
        size = torchvision_models.input_size(name, arguments)
    if size is None:
        raise ConfigError(f"model {name!r} has no image_size of its own. Set image_size to a number of pixels.")
    return size


def is_own(name: str) -> bool:
    """Return whether the model is ours, or of a competition's file, and so has no pretrained weights."""
    return name in MODELS.reserved or name in MODELS or name in SEGMENTERS


def smp_models() -> ModuleType:
    """Return the module of segmentation-models-pytorch's models, which imports it. Raises ConfigError without it."""
    try:
        return importlib.import_module("kaggle_ray.models.smp_models")
    except ImportError as error:
        raise ConfigError(f"{SMP_PREFIX} models need the extra: pip install 'kaggle-ray[smp]'.") from error
