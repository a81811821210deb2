"""Reads JSON of an untrusted file into types that the rest of the code may rely on.

What a file holds is declared once, as a frozen dataclass. ``parse_json`` takes the text apart, within bounds of depth
and of numbers; ``from_json`` checks the value against the dataclass field by field.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints

from kaggle_ray.counted import counted
from kaggle_ray.errors import JsonShapeError, suggest
from kaggle_ray.types import JsonValue, Location
from kaggle_ray.untrusted import Bound

T = TypeVar("T")

_NAMES = {bool: "true or false", int: "an integer", str: "a text"}
_MAX_SHOWN = 80
"""Letters of a value that an error shows."""
_MAX_DEPTH = 50
"""Objects and lists within one another. The deepest of our own have ten."""
_MAX_DIGITS = 300
"""Digits of an integer: one with more would be no float, which an integer may be read as."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parse_json(data: bytes | str, *, where: str) -> JsonValue:
    """Return the value of a JSON text of nobody knows whom.

    Args:
        data: the text, as UTF-8 where it is bytes; its size is bounded by whoever read it.
        where: the file, or what else an error should name.

    Raises:
        JsonShapeError: it is no JSON, is nested too deep, or holds a number that no file of ours has: NaN,
            an infinite one, one of more than 300 digits.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        _check_depth(text)
        value: JsonValue = json.loads(text, parse_constant=_parse_float, parse_float=_parse_float, parse_int=_parse_int)
    except ValueError as error:
        raise JsonShapeError(f"{where}: is not JSON: {error}.") from error
    return value


def _check_depth(text: str) -> None:
    """Raise ValueError where a text is nested deeper than the parser, and what walks through its value, may go."""
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {_shortened(text)} is not finite")
    return value


def _parse_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"the number {_shortened(text)} is too large")
    return int(text)


def from_json(kind: type[T], value: JsonValue, *, where: str) -> T:
    """Return a JSON value as ``kind``.

    Args:
        kind: a dataclass, ``bool``, ``int``, ``float`` (an integer is one, too, and null is NaN), ``str``, ``Path``,
            ``Location``, or a ``list``, ``tuple`` or ``dict`` of these; a dataclass's fields may also be ``Literal``,
            ``JsonValue``, a union, ``Mapping`` (read as a dict), ``Sequence`` (read as a tuple), and ``Annotated`` with
            a ``Bound``.
        value: what ``parse_json`` returned, or a part of it.
        where: the file, or what else an error should name.

    Raises:
        JsonShapeError: the value has another shape; the message names the field.

    Example:
        >>> from kaggle_ray.types import Trial
        >>> from_json(Trial, {"experiment_id": "c0ffee", "fold": 3}, where="result.json")
        Trial(experiment_id='c0ffee', fold=3)
        >>> from_json(dict[str, float], {"loss": 1}, where="result.json")
        {'loss': 1.0}
    """
    read: T = _read(kind, value, where)
    return read


def is_number(value: JsonValue) -> TypeGuard[float]:
    """Return whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


_AS_THEY_ARE = (str, int, bool, float)
"""Types whose values are read as they are: a list of nothing else, such as a million ids, is not read one by one."""

# The types that are read are known at run time only: from here on they are Any.


def _read(kind: Any, value: JsonValue, where: str) -> Any:
    if kind is Any or kind == JsonValue:
        return value
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    origin = get_origin(kind) or kind
    if origin is Annotated:
        return _read_bounded(get_args(kind), value, where)
    if origin is Literal:
        _require(value in get_args(kind), f"one of {', '.join(map(repr, get_args(kind)))}", value, where)
        return value
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, where)
    read: Callable[[Any, JsonValue, str], Any] | None = _READERS.get(origin)
    if read is None:
        raise TypeError(f"{where}: {kind} is not read from JSON.")  # a mistake of the code, not of the file
    return read(kind, value, where)


def _read_bounded(arguments: Sequence[Any], value: JsonValue, where: str) -> Any:
    kind, *metadata = arguments
    read = _read(kind, value, where)
    for bound in metadata:
        if isinstance(bound, Bound):
            _require(bound.holds(read), bound.words, value, where)
    return read


def _read_plain(kind: Any, value: JsonValue, where: str) -> Any:
    _require(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), _NAMES[kind], value, where)
    return value


def _read_float(kind: Any, value: JsonValue, where: str) -> Any:
    if value is None:  # JSON has no word for NaN: what writes it writes null
        return math.nan
    if not is_number(value):
        raise _unexpected("a number", value, where)
    return float(value)


def _read_path(kind: Any, value: JsonValue, where: str) -> Any:
    if not isinstance(value, str):
        raise _unexpected("a path", value, where)
    return kind(value)


def _read_dict(kind: Any, value: JsonValue, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _unexpected("an object", value, where)
    of_keys, of_values = get_args(kind)
    return {
        _read(of_keys, name, where): _read(of_values, item, f"{where}: {_shortened(name)}")
        for name, item in value.items()
    }


def _read_list(kind: Any, value: JsonValue, where: str) -> Any:
    return _read_items(get_args(kind)[0], value, where)


def _read_sequence(kind: Any, value: JsonValue, where: str) -> Any:
    return tuple(_read_items(get_args(kind)[0], value, where))


def _read_tuple(kind: Any, value: JsonValue, where: str) -> Any:
    of_items = get_args(kind)
    if len(of_items) == 2 and of_items[1] is Ellipsis:
        return _read_sequence(kind, value, where)
    items = _read_items(Any, value, where)
    _require(len(items) == len(of_items), counted(len(of_items), "item"), value, where)
    return tuple(_read(of, item, f"{where}[{n}]") for n, (of, item) in enumerate(zip(of_items, items, strict=True)))


def _read_items(kind: Any, value: JsonValue, where: str) -> list[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _unexpected("a list", value, where)
    if kind in _AS_THEY_ARE and set(map(type, value)) <= {kind}:
        return list(value)
    return [_read(kind, item, f"{where}[{number}]") for number, item in enumerate(value)]


def _read_union(kinds: Sequence[Any], value: JsonValue, where: str) -> Any:
    """Return the value as the first of ``kinds`` that it fits."""
    if value is None and types.NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not types.NoneType]
    for kind in others[:-1]:
        try:
            return _read(kind, value, where)
        except JsonShapeError:
            continue
    return _read(others[-1], value, where)


def _read_dataclass(kind: Any, value: JsonValue, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _unexpected("an object", value, where)
    hints = _type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            shown = _shortened(name)
            raise JsonShapeError(f"{where}: unknown field {shown!r}{suggest(shown, fields)}")
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in value and not has_default:
            raise JsonShapeError(f"{where}: the field {name!r} is missing.")
    return kind(**{name: _read(hints[name], item, f"{where}: {name}") for name, item in value.items()})


@cache
def _type_hints(kind: Any) -> Mapping[str, Any]:
    """Return the types of a dataclass's fields; a ``JsonValue`` is taken as it is."""
    return get_type_hints(kind, localns={"JsonValue": Any}, include_extras=True)


def _require(condition: bool, expected: str, got: JsonValue, where: str) -> None:
    if not condition:
        raise _unexpected(expected, got, where)


def _unexpected(expected: str, got: JsonValue, where: str) -> JsonShapeError:
    return JsonShapeError(f"{where}: expected {expected}, got {_shortened(repr(got))}.")


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


_READERS: Mapping[Any, Callable[[Any, JsonValue, str], Any]] = {
    bool: _read_plain,
    int: _read_plain,
    float: _read_float,
    str: _read_plain,
    Path: _read_path,
    Location: _read_path,
    dict: _read_dict,
    Mapping: _read_dict,
    list: _read_list,
    tuple: _read_tuple,
    Sequence: _read_sequence,
}
