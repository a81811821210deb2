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
def users_code(what: str, *, leave: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Raise ConfigError for what is no error of ours within the context, with the line of the user's that led to it.

    So is what is no Exception, such as ``sys.exit`` in a function: it would end a run without a word. Ctrl-C stays.

    Args:
        what: was called, such as ``pets: read``.
        leave: what the caller handles by itself.
    """
    passed_on: tuple[type[BaseException], ...] = (KaggleRayError, KeyboardInterrupt, GeneratorExit, *leave)
    try:
        yield
    except passed_on:
        raise
    except BaseException as error:
        raise ConfigError(f"{what}: {type(error).__name__}: {error}{users_line(error)}") from error


def users_line(error: BaseException) -> str:
    """Return file, number and text of the innermost line that is neither ours nor of anything installed, if any.

    It is a text to follow a message, such as `` (line 4 of mine.py: return samples[0])``; empty where there is none.
    """
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users_file(Path(frame.filename))]
    return f" (line {own[-1].lineno} of {own[-1].filename}: {own[-1].line})" if own else ""


def is_users_file(path: Path) -> bool:
    """Return whether a file is there and is neither ours nor of anything installed."""
    return path.is_file() and not path.is_relative_to(_PACKAGE) and not is_installed(path)
