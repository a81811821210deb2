"""How options are declared: once, each as a field of a frozen dataclass. All that reads or shows them is made of these.

A field tells an option's name, type and default; ``option`` adds its range and what it is called on the command line;
the docstring under the field is its help. From there come the check of a value, the command line (``cli/options.py``),
and by ``takes`` the keywords, the signature and the docstring of a public function.

Why not ``**options: Unpack[TypedDict]``: the ``TypedDict`` would say every name and type a second time, and could not
say a default. ``takes`` gives a function the parameters of the dataclass's constructor through a ``ParamSpec``, so that
mypy checks a call and an editor completes it, and puts the same parameters and their help where ``inspect.signature``
and ``help`` look for them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar, cast

from kaggle_ray.deprecation import Renamed, accept_renamed
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.field_help import field_help

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

_NUMBERS: dict[type, type] = {int: Integral, float: Real}


def option(
    default: T,
    *,
    unset: str = "",
    flag: str | None = None,
    environment: str | None = None,
    python_only: bool = False,
    metavar: str | None = None,
    repeated: bool = False,
    choices: Sequence[T] = (),
    at_least: float | None = None,
    at_most: float | None = None,
    parse: Callable[[Any], Any] | None = None,
    was: Mapping[str, str] | None = None,
) -> T:
    """Declare a field of a group of options.

    Args:
        default: the value where none is given.
        unset: what a default of None stands for, in words.
        flag: its name on the command line, where that is not the field's with dashes.
        environment: the variable that the command line reads where its flag is not given.
        python_only: whether it is kept off the command line.
        metavar: what the command line's help writes for its value.
        repeated: whether the command line takes it several times.
        choices: the names that it takes; an object of the user's own is not looked at.
        at_least: the smallest number that it takes.
        at_most: the largest number that it takes.
        parse: returns the value of what was given, and of its own result the same; or raises ConfigError.
        was: names that it had, and the version that will no longer take each of them.
    """
    how = {name: value for name, value in locals().items() if name != "default"}
    declared: T = field(default=default, metadata=how)
    return declared


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all groups of options: checks and parses each value as its field declares it."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that its option does not take."""
        for each in options_of(type(self)):
            object.__setattr__(self, each.name, each.checked(getattr(self, each.name)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option as it was declared; what is not described here is as in ``option``."""

    name: str
    """Keyword of the option in Python."""
    kind: type
    """``bool``, ``int`` or ``float`` where its annotation names one of them and nothing parses it; else ``str``."""
    default: Any
    """MISSING where it has to be given."""
    help: str
    """Whole sentences, which can be read alone."""
    flag: str
    """Name of the option on the command line."""
    is_positional: bool
    """Whether it comes first and without its name."""
    unset: str = ""
    environment: str | None = None
    python_only: bool = False
    metavar: str | None = None
    repeated: bool = False
    choices: Sequence[Any] = ()
    at_least: float | None = None
    at_most: float | None = None
    parse: Callable[[Any], Any] | None = None
    was: Mapping[str, str] | None = None

    @property
    def description(self) -> str:
        """The help, and the default of all that has one but plain switches."""
        if self.default is MISSING or self.default is False:
            return self.help
        default = self.unset if self.default is None else self.default
        or_named = f", or on the command line what {self.environment} says" if self.environment else ""
        return f"{self.help} Default: {default}{or_named}."

    def checked(self, value: Any) -> Any:
        """Return ``value``, parsed. Raise ConfigError where it is not one that this option takes."""
        if value is None and self.default is None:
            return None
        if self.parse is not None:
            return self.parse(value)
        if self.kind is bool and not isinstance(value, bool):
            raise ConfigError(f"{self.flag} {value!r}: expected True or False.")
        if (number := _NUMBERS.get(self.kind)) and (isinstance(value, bool) or not isinstance(value, number)):
            raise ConfigError(f"{self.flag} {value!r}: expected {self.kind.__name__}.")
        if self.at_least is not None and value < self.at_least:
            raise ConfigError(f"{self.flag} {value}: expected at least {self.at_least}.")
        if self.at_most is not None and value > self.at_most:
            raise ConfigError(f"{self.flag} {value}: expected at most {self.at_most}.")
        if self.choices and isinstance(value, str) and value not in self.choices:
            raise ConfigError(f"{self.flag}: there is no {value!r}{suggest(value, self.choices)}")
        return value


def options_of(group: type[Options]) -> tuple[Option, ...]:
    """Return the options of ``group`` and of the groups that it is composed of, in the order of declaration."""
    groups = [base for base in reversed(group.__mro__) if issubclass(base, Options)]
    helps = {name: text for base in groups for name, text in field_help(base).items()}
    return tuple(_option(each, helps.get(each.name, "")) for each in fields(group))


def renames_of(group: type[Options]) -> dict[str, Renamed]:
    """Return what replaces the names that options of ``group`` had."""
    return {
        old: Renamed(to=each.name, removed_in=version)
        for each in options_of(group)
        for old, version in (each.was or {}).items()
    }


def _option(declared: Field[Any], text: str) -> Option:
    how = dict(declared.metadata)
    words = [] if how.get("parse") else str(declared.type).split(" | ")  # text: its names are for type checkers only
    return Option(
        name=declared.name,
        kind=next((kind for kind in (bool, int, float) if kind.__name__ in words), str),
        default=declared.default,
        help=text,
        flag=how.pop("flag", None) or f"--{declared.name.replace('_', '-')}",
        is_positional=not declared.kw_only,
        **how,
    )


def takes(group: Callable[P, T]) -> Callable[[Callable[[T], R]], Callable[P, R]]:
    """Let a function of a group of options be called with these options themselves, by keyword.

    Its signature becomes that of the group's constructor, and its docstring tells each option.
    """
    known = inspect.signature(group).parameters
    declared = cast("type[Options]", group)  # which type checkers know as the constructor that it is, too
    renames = renames_of(declared)

    def decorate(function: Callable[[T], R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given: Any = accept_renamed(kwargs, renames, owner=f"kaggle_ray.{function.__name__}", stacklevel=3)
            _check_names(given, known, where=function.__name__)
            return function(group(*args, **given))

        returned = inspect.signature(function).return_annotation
        call.__signature__ = inspect.signature(group).replace(return_annotation=returned)  # type: ignore[attr-defined]
        call.__doc__ = _documented(function.__doc__ or "", declared, known)
        return call

    return decorate


def _check_names(given: Iterable[str], known: Iterable[str], *, where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{where}: there is no option {name!r}{suggest(name, known)}")


def _documented(text: str, group: type[Options], names: Iterable[str]) -> str:
    """Return a docstring with each option after its first paragraph."""
    summary, _, rest = inspect.cleandoc(text).partition("\n\n")
    descriptions = {each.name: each.description for each in options_of(group)}
    described = "\n".join(f"    {name}: {descriptions[name]}" for name in names)
    return "\n\n".join(part for part in (summary, f"Args:\n{described}", rest) if part)
