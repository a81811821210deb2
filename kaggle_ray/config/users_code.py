"""Calls of code that a user wrote: what it raises becomes an error of ours, which shows the user's own line alone."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kaggle_ray.config.sources import is_installed
from kaggle_ray.errors import ConfigError, KaggleRayError

_PACKAGE = Path(__file__).resolve().parent.parent


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """Raise ConfigError for what is no error of ours within the context, with the line of the user's that led to it.

    Args:
        what: was called, such as ``pets: read``.
    """
    try:
        yield
    except KaggleRayError:
        raise
    except Exception as error:
        raise ConfigError(f"{what}: {type(error).__name__}: {error}{_users_line(error)}") from error


def _users_line(error: Exception) -> str:
    """Return file, number and text of the innermost line that is neither ours nor of anything installed."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (path := Path(frame.filename)).is_file() and not path.is_relative_to(_PACKAGE) and not is_installed(path)
    ]
    return f" (line {own[-1].lineno} of {own[-1].filename}: {own[-1].line})" if own else ""
