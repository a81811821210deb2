"""Where the cache is, on this machine and on the others of a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from kaggle_ray.errors import StoreError

FOLDER_VARIABLE = "KAGGLE_RAY_CACHE"
BUDGET_VARIABLE = "KAGGLE_RAY_CACHE_GIB"


def default_cache_dir() -> Path:
    """Return KAGGLE_RAY_CACHE where it is set, else the user's cache folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else user_cache_path("kaggle_ray")


@contextmanager
def written_cache(cache_dir: Path) -> Iterator[None]:
    """Make the folder; what the file system refuses within the context is an error that names what to do.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreError(
            f"{cache_dir}: the image cache cannot be written: {error.strerror or error}. "
            f"Name another folder in the environment variable {FOLDER_VARIABLE}."
        ) from error


def cache_variables() -> dict[str, str]:
    """Return what the user set of the cache's variables, for processes on other machines: see ``adopt_variables``."""
    named = {name: os.environ[name] for name in (FOLDER_VARIABLE, BUDGET_VARIABLE) if os.environ.get(name)}
    if FOLDER_VARIABLE in named:
        named[FOLDER_VARIABLE] = str(Path(named[FOLDER_VARIABLE]).absolute())
    return named


def adopt_variables(variables: Mapping[str, str]) -> None:
    """Set those of the driver's variables that this machine has not set itself.

    So a machine's own KAGGLE_RAY_CACHE comes first, then the one that the user gave the run, then the default of the
    user whose processes these are.
    """
    for name, value in variables.items():
        os.environ.setdefault(name, value)
