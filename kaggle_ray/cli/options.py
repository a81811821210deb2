"""The options of the command line, made of their declarations: names, types, ranges, defaults and help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TypeVar

import click

from kaggle_ray.pipeline import declare
from kaggle_ray.pipeline.declare import Option, Options

Command = TypeVar("Command", bound=Callable[..., Any])

RUN = click.argument("run", type=click.Path(path_type=Path))
"""Run folder that a command looks at."""


def options_of(group: type[Options], *names: str) -> Callable[[Command], Command]:
    """Add the arguments and options of a group to a command: all of them, or those of the ``names``."""
    declared = [each for each in declare.options_of(group) if not each.python_only]
    chosen = [each for each in declared if not names or each.name in names]
    assert len(chosen) >= len(names), f"{group.__name__} has not all of {names}"

    def decorate(command: Command) -> Command:
        for each in reversed(chosen):
            command = (_argument if each.is_positional else _option)(each)(command)
        return command

    return decorate


def _argument(declared: Option) -> Callable[[Command], Command]:
    return click.argument(declared.name)


def _option(declared: Option) -> Callable[[Command], Command]:
    is_required = declared.default is MISSING
    how: dict[str, Any] = {"is_flag": True} if declared.kind is bool else {"type": _type_of(declared)}
    return click.option(
        declared.flag,
        declared.name,
        default=None if is_required else declared.default,
        required=is_required,
        multiple=declared.repeated,
        metavar=declared.metavar,
        help=declared.description,
        **how,
    )


def _type_of(declared: Option) -> click.ParamType[Any] | type:
    if declared.choices:
        return click.Choice(declared.choices)
    if declared.at_least is None:
        return declared.kind
    if declared.kind is int:
        return click.IntRange(min=int(declared.at_least))
    return click.FloatRange(min=declared.at_least)
