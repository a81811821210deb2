"""What a user sets of a service: in the environment, or in a file; what is secret, in the environment alone."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kaggle_ray.errors import ConfigError, suggest

SETTINGS_FILE = Path("kaggle_ray.toml")
"""The file of settings, in the folder that a run is started in: a table ``[reporters.NAME]`` for each service."""

_PREFIX = "KAGGLE_RAY_"
_SECRET_ENDINGS = ("password", "token", "secret", "api_key")


def is_secret(setting: str) -> bool:
    """Return whether a setting of this name is secret.

    >>> [is_secret(name) for name in ("password", "auth_token", "api_key", "server")]
    [True, True, True, False]
    """
    return setting.lower().endswith(_SECRET_ENDINGS)


def settings_of(service: str) -> dict[str, str]:
    """Return what is set of a service, name -> text; the environment goes before the file.

    ``KAGGLE_RAY_VISDOM_SERVER`` is the setting ``server`` of ``visdom``, and so is ``server`` in the file's table
    ``[reporters.visdom]``.

    Raises:
        ConfigError: the file is not one of settings, or holds what is secret.
    """
    return {**_in_file(service), **_in_environment(service)}


def check_tables(known: Collection[str]) -> None:
    """Raise ConfigError where the file of settings has a table of a service that is not ``known``."""
    for service in _tables():
        if service not in known:
            raise ConfigError(f"{SETTINGS_FILE}: there is no reporter {service!r}{suggest(service, known)}")


def secrets_in(settings: Mapping[str, str]) -> list[str]:
    """Return the texts of settings that nothing may show: those of secret names, and passwords in addresses."""
    passwords = (password for text in settings.values() if (password := _password_in(text)))
    return [*(text for name, text in settings.items() if text and is_secret(name)), *passwords]


@contextmanager
def secrets_hidden() -> Iterator[None]:
    """Take what is secret from the environment: no process that is started within the context inherits it."""
    hidden = {
        name: text
        for name, text in os.environ.items()
        if name.startswith(_PREFIX) and (is_secret(name) or _password_in(text))
    }
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _in_environment(service: str) -> dict[str, str]:
    prefix = f"{_PREFIX}{service.replace('-', '_').upper()}_"
    return {name.removeprefix(prefix).lower(): text for name, text in os.environ.items() if name.startswith(prefix)}


def _in_file(service: str) -> dict[str, str]:
    found = {name: _text(value, where=f"{service}.{name}") for name, value in _tables().get(service, {}).items()}
    for name, text in found.items():
        if is_secret(name) or _password_in(text):
            variable = f"{_PREFIX}{service}_{name}".replace("-", "_").upper()
            raise ConfigError(
                f"{SETTINGS_FILE}: {service}.{name}: is secret. Set it in the environment, as {variable}."
            )
    return found


def _tables() -> dict[str, dict[str, Any]]:
    """Return service -> name -> value of the file; nothing where there is none."""
    try:
        content = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:  # of TOML, and of UTF-8
        raise ConfigError(f"{SETTINGS_FILE}: is no TOML: {error}.") from error
    for name in content:
        if name != "reporters":
            raise ConfigError(f"{SETTINGS_FILE}: unknown key {name!r}. Known: reporters.")
    tables = content.get("reporters", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError(f"{SETTINGS_FILE}: expected a table such as [reporters.visdom] for each reporter.")
    return tables


def _text(value: Any, *, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ConfigError(f"{SETTINGS_FILE}: {where}: expected a text, a number, true or false, got {value!r}.")


def _password_in(text: str) -> str | None:
    """Return the password in an address such as ``https://user:password@host``, None where there is none."""
    try:
        return urlsplit(text).password
    except ValueError:
        return None
