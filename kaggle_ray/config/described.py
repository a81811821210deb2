"""Declarations as JSON that says what they compute: what ids are made of, and names in the cache."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from kaggle_ray.types import JsonValue

_SOURCE_HEX = 16
"""Hex digits that are kept of the sha256 of a function's source."""
_TOLD_BY_FILE = ("read", "prepare", "resolve", "default_space")
"""Functions of a competition: what they return counts, and their source does with that of the file."""
_ADDED_LATER = "added later"
ADDED_LATER: Mapping[str, bool] = MappingProxyType({_ADDED_LATER: True})
"""Metadata of a field that earlier versions lack: at its default it tells nothing, so that ids stay what they were."""


def described(value: object) -> JsonValue:
    """Return JSON that is the same for equal declarations: dataclasses by field, functions and classes by source.

    A field that is not compared says nothing of its own: it follows from files that count by themselves. Nor does one
    of ``ADDED_LATER`` at its default.

    A function or class of kaggle_ray's own is told by its name, any other by its source as well; so are the values that
    a closure or a partial has bound. An object of another kind is told by its type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            spec.name: described(getattr(value, spec.name)) for spec in dataclasses.fields(value) if _tells(spec, value)
        }
    if isinstance(value, Mapping):
        return {str(name): described(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, partial):
        return {"function": described(value.func), "arguments": described([*value.args, value.keywords])}
    if inspect.isfunction(value) or isinstance(value, type):
        return _code(value)
    return f"a {type(value).__qualname__}"


def _tells(spec: dataclasses.Field[object], value: object) -> bool:
    if not spec.compare or spec.name in _TOLD_BY_FILE:
        return False
    return not spec.metadata.get(_ADDED_LATER) or getattr(value, spec.name) != spec.default


def _code(value: Callable[..., object]) -> JsonValue:
    name = getattr(value, "__qualname__", "function")
    cells = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    bound = [described(each) for each in cells if not callable(each)]
    if value.__module__.startswith("kaggle_ray."):
        return {"name": name, "bound": bound}
    try:
        source = inspect.getsource(value)
    except (OSError, TypeError):  # made by exec, or in a console: its name has to do
        source = ""
    return {"name": name, "bound": bound, "source": hashlib.sha256(source.encode()).hexdigest()[:_SOURCE_HEX]}
