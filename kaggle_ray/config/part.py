"""What the parts of the hyperparameters share: checks of type and range, and the flat names that a user writes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from kaggle_ray.errors import ConfigError
from kaggle_ray.given import HyperparameterValue
from kaggle_ray.registry import named
from kaggle_ray.types import JsonValue

P = TypeVar("P")

_FLAT = "flat"
KINDS = {
    "model": "model", "loss": "loss", "optimizer": "optimizer", "schedule": "schedule", "augment": "augmentation",
    "sampler": "sampler", "constraint": "constraint",
}  # fmt: skip
"""Hyperparameter -> kind of what it names, in whose place what is registered may be given itself."""

_OF_EXPERIMENTS = ("init_from", "soup_of", "distill_from", "pseudolabel_from")
"""Hyperparameters that are, or list, the hyperparameters of other experiments."""


def called(flat: str) -> Mapping[str, str]:
    """Return a field's metadata: a user's dictionary calls the field ``flat`` and not by its own name."""
    return {_FLAT: flat}


def flat_names(part: Any) -> Mapping[str, str]:
    """Return what a user's dictionary calls each field of a part -> the field."""
    return _flat_names(part)


@cache
def _flat_names(part: Any) -> Mapping[str, str]:
    return {spec.metadata.get(_FLAT, spec.name): spec.name for spec in dataclasses.fields(part)}


def part_of(part: type[P], values: Mapping[str, HyperparameterValue]) -> P:
    """Return the part of a flat dictionary, which may hold the hyperparameters of other parts, too.

    Raises:
        ConfigError: a value has the wrong type or range.
    """
    return part(**{name: values[flat] for flat, name in flat_names(part).items() if flat in values})


def flat_values(part: Any) -> dict[str, JsonValue]:
    """Return a part's hyperparameters as a user's dictionary calls them."""
    return {flat: getattr(part, name) for flat, name in flat_names(type(part)).items()}


def check_types(part: Any) -> None:
    """Give every field of a new part the type that it is declared with: an int becomes a float where one is due.

    Raises:
        ConfigError: a value is of another type, or not finite.
    """
    kind: Any = type(part)
    for flat, name in flat_names(kind).items():
        value = _checked_type(flat, getattr(part, name), _type_hints(kind)[name])
        object.__setattr__(part, name, value)


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raise ConfigError, with what was expected of a hyperparameter and what it is, where ``condition`` is False."""
    if not condition:
        raise ConfigError(f"hyperparameter {name!r}: expected {expected}, got {got!r}.")


def _checked_type(name: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        require(value in get_args(hint), name, f"one of {', '.join(map(str, get_args(hint)))}", value)
        return value
    if get_origin(hint) is Sequence:
        require(isinstance(value, list | tuple), name, "a list", value)
        (of_items,) = get_args(hint)
        return [_checked_type(name, item, of_items) for item in value]
    if get_origin(hint) is not None:
        require(isinstance(value, Mapping), name, "a dictionary", value)
        return {key: _kept(name, key, each) for key, each in value.items()}
    if name in KINDS and (callable(value) or isinstance(value, str)):
        return named(KINDS[name], value, where=f"hyperparameter {name!r}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    require(isinstance(value, hint) and (hint is bool or not isinstance(value, bool)), name, hint.__name__, value)
    require(hint is not float or math.isfinite(value), name, "a finite number", value)
    return value


def _kept(name: str, key: str, value: Any) -> Any:
    """Return a value of the dictionary that hyperparameter ``name`` is, as a run's files can keep it.

    Raises:
        ConfigError: a function or class is given where no name of one is expected.
    """
    if callable(value) and name in _OF_EXPERIMENTS and key in KINDS:
        return named(KINDS[key], value, where=f"hyperparameter {name!r}: {key!r}")
    require(not callable(value), name, f"of {key!r} a value that a run's files can keep", value)
    if isinstance(value, Mapping):
        return {inner: _kept(key if name in _OF_EXPERIMENTS else name, inner, each) for inner, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_kept(name, key, each) for each in value)
    return value


@cache
def _type_hints(part: type) -> Mapping[str, Any]:
    return get_type_hints(part)
