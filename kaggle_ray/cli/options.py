"""The options of the command line, made of their declarations: names, types, ranges, defaults and help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, TypeVar

import click

from kaggle_ray.cli.completion import OF_OPTIONS
from kaggle_ray.deprecation import accept_renamed
from kaggle_ray.pipeline import declare
from kaggle_ray.pipeline.declare import Option, Options

Command = TypeVar("Command", bound=Callable[..., Any])
Group = TypeVar("Group", bound=Options)

RUN = click.argument("run")
"""Folder of the run that a command looks at."""


def options_of(group: type[Options], *names: str) -> Callable[[Command], Command]:
    """Add the arguments and options of a group to a command: all of them, or those of the ``names``."""
    declared = [each for each in declare.options_of(group) if not each.python_only]
    chosen = [each for each in declared if not names or each.name in names]
    assert len(chosen) >= len(names), f"{group.__name__} has not all of {names}"

    def decorate(command: Command) -> Command:
        for each in reversed(chosen):
            command = (_argument if each.is_positional else _option)(each)(command)
            for old in each.was or ():
                command = click.option(_flag(old), old, hidden=True, default=None, **_kind_of(each))(command)
        return command

    return decorate


def made(group: type[Group], values: Mapping[str, Any]) -> Group:
    """Return the options that a command was called with; one under the name that it had is taken, with a warning."""
    given, renames = dict(values), declare.renames_of(group)
    for old, renamed in renames.items():
        del given[old if given.get(old) is None else renamed.to]
    return group(**accept_renamed(given, renames, owner="kaggle-ray"))


def _argument(declared: Option) -> Callable[[Command], Command]:
    return click.argument(declared.name, shell_complete=OF_OPTIONS.get(declared.name))


def _option(declared: Option) -> Callable[[Command], Command]:
    # A default that is None is one, of which click 8.3 asks for no other.
    default: dict[str, Any] = {"required": True} if declared.default is MISSING else {"default": declared.default}
    return click.option(
        declared.flag,
        declared.name,
        **default,
        multiple=declared.repeated,
        envvar=declared.environment,
        metavar=declared.metavar,
        help=declared.description,
        shell_complete=OF_OPTIONS.get(declared.name),
        **_kind_of(declared),
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _kind_of(declared: Option) -> dict[str, Any]:
    return {"is_flag": True} if declared.kind is bool else {"type": _type_of(declared)}


def _type_of(declared: Option) -> click.ParamType[Any] | type:
    if declared.choices:
        return click.Choice(declared.choices)
    if declared.at_least is None:
        return declared.kind
    if declared.kind is int:
        return click.IntRange(min=int(declared.at_least))
    return click.FloatRange(min=declared.at_least, max=declared.at_most)
