"""The reporters of services by name: those that come with the package, and those of other packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.registry import Registry
from kaggle_ray.reporters.settings import check_tables, settings_of
from kaggle_ray.reporters.sink import MakeSink, ReadArtifact, Sink

CONSOLE = "console"
"""The name of what is told where no reporter is named; it is no service."""

ENTRY_POINTS = "kaggle_ray.reporters"
"""The group of entry points by which another package adds a reporter: name -> ``module:make_sink``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltIn:
    """A reporter that comes with the package."""

    target: str
    """``module:function`` of what makes its sink."""
    client: str
    """Module that it delivers by, which the extra of the reporter's name installs."""


BUILT_IN: dict[str, BuiltIn] = {
    "elasticsearch": BuiltIn(target="kaggle_ray.reporters.elasticsearch.sink:make_sink", client="elasticsearch"),
    "mail": BuiltIn(target="kaggle_ray.reporters.mail.sink:make_sink", client="matplotlib"),
    "mlflow": BuiltIn(target="kaggle_ray.reporters.mlflow:make_sink", client="mlflow"),
    "tensorboard": BuiltIn(target="kaggle_ray.reporters.tensorboard:make_sink", client="tensorboardX"),
    "visdom": BuiltIn(target="kaggle_ray.reporters.visdom.sink:make_sink", client="visdom"),
    "wandb": BuiltIn(target="kaggle_ray.reporters.wandb:make_sink", client="wandb"),
}
"""Name -> the reporter."""

REPORTERS: Registry[MakeSink] = Registry("reporter", reserved=[CONSOLE, *BUILT_IN])
"""Reporters that a competition's file registers."""


def register_reporter(name: str) -> Callable[[MakeSink], MakeSink]:
    """Register what makes the sink of a service under ``name``, for ``--reporter``, in a competition's file.

    ``make_sink(settings, read_artifact)`` is given what the user has set of the reporter, and returns a ``Sink``, which
    may block and may raise. ``kaggle_ray.testing.sink_contract`` checks it.

    >>> from kaggle_ray import register_reporter
    >>> class Chat:
    ...     name = "mychat"
    ...
    ...     def recall(self, envelopes):
    ...         '''These were delivered by earlier processes.'''
    ...
    ...     def send(self, envelopes):
    ...         '''Post what is worth it.'''
    ...
    ...     def close(self):
    ...         '''Nothing is left open.'''
    >>> @register_reporter("mychat")
    ... def make_sink(settings, read_artifact):
    ...     return Chat()

    Raises:
        ConfigError: the name is built in, or another reporter has it.
    """
    return REPORTERS.register(name)


def names() -> list[str]:
    """Return the names of all reporters that are there, sorted."""
    return sorted({CONSOLE, *BUILT_IN, *REPORTERS, *_of_others()})


def is_known(name: str) -> bool:
    """Return whether there is a reporter of this name, so far: the file of a competition may register others."""
    return name in (CONSOLE, *BUILT_IN, *REPORTERS) or name in _of_others()


def check_name(name: str) -> None:
    """Raise ConfigError, with the nearest name, where there is no reporter of this name."""
    if not is_known(name):
        raise ConfigError(f"--reporter: there is no {name!r}{suggest(name, names())}")


def settings_for(name: str) -> dict[str, str]:
    """Return what a user has set of a reporter, in the environment and in the file of settings.

    Raises:
        ConfigError: there is no such reporter, or the file is not one of settings.
    """
    check_name(name)
    check_tables(names())
    return settings_of(name)


def make_sink(name: str, settings: Mapping[str, str], read_artifact: ReadArtifact) -> Sink:
    """Return the sink of a service, without reaching for its server.

    Raises:
        ConfigError: its extra is not installed, or it does not take a setting.
    """
    return _maker_of(name)(settings, read_artifact)


def _maker_of(name: str) -> MakeSink:
    if name == CONSOLE:
        raise ConfigError("--reporter console: is no service that something could be delivered to.")
    if name in REPORTERS:
        return REPORTERS[name]
    if name not in BUILT_IN:
        maker: MakeSink = _of_others()[name].load()
        return maker
    built_in = BUILT_IN[name]
    if find_spec(built_in.client) is None:
        raise ConfigError(f"--reporter {name} needs the extra: pip install 'kaggle-ray[{name}]'.")
    module, _, function = built_in.target.partition(":")
    made: MakeSink = getattr(import_module(module), function)
    return made


def _of_others() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=ENTRY_POINTS)}
