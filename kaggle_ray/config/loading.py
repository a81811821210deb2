"""Loads a user's Python file by path: competitions and search spaces are never imported by name."""

from __future__ import annotations

import hashlib
import importlib.util
import shlex
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TypeVar

from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError, KaggleRayError, suggest
from kaggle_ray.given import FILE_PREFIX
from kaggle_ray.untrusted import is_path_part

T = TypeVar("T")

_CHECKOUT = Path(__file__).resolve().parent.parent.parent


def find_file(name_or_path: str | Path, *, folder: str) -> Path:
    """Return the absolute path of a Python file given by path, or by name in ``folder``.

    The folder is looked for in the working directory, then beside the package.

    Raises:
        ConfigError: there is none; the nearest known name is suggested.
    """
    given = Path(name_or_path)
    if given.suffix == ".py":
        if given.is_file():
            return given.resolve()
        raise ConfigError(f"{given}: no such file (looked in {Path.cwd()}).")
    for place in _places(folder):
        if (found := place / f"{given}.py").is_file():
            return found.resolve()
    raise ConfigError(f"{folder}: there is no {str(given)!r}{suggest(str(given), known_names(folder))}")


def known_names(folder: str) -> set[str]:
    """Return what ``find_file`` finds by name in ``folder``."""
    return {file.stem for place in _places(folder) if place.is_dir() for file in place.glob("*.py")}


def _places(folder: str) -> tuple[Path, Path]:
    return Path.cwd() / folder, _CHECKOUT / folder


def installed_file(name: str, *, folder: str) -> Path | None:
    """Return the Python file of a name in the ``folder`` that came with the package, None where there is none."""
    file = _CHECKOUT / folder / f"{name}.py"
    return file if is_path_part(name) and file.is_file() else None


def load_attribute(path: Path, attribute: str, expected: type[T]) -> T:
    """Run the file at ``path`` and return its ``attribute``.

    Raises:
        ConfigError: the file does not run, or has no such attribute of the type ``expected``.
    """
    module = _run_file(path)
    value = getattr(module, attribute, None)
    if not isinstance(value, expected):
        got = "nothing" if value is None else type(value).__name__
        raise ConfigError(f"{path}: expected {attribute} = {expected.__name__}(...), got {got}.")
    return value


def module_of(path: Path) -> ModuleType:
    """Return the module that the file at ``path`` was run as, last."""
    return sys.modules[_module_name(path)]


def check_not_loading(what: str) -> None:
    """Raise ConfigError where ``what`` is called by a file that is being loaded: each process would call it again."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and str(frame.f_globals.get("__name__")).startswith(FILE_PREFIX):
            raise ConfigError(
                f"{what} is called while {frame.f_code.co_filename} is loaded, as each process of a run does. In a "
                f"script, put the call below: if __name__ == '__main__'; in a notebook, into a cell of its own."
            )
        frame = frame.f_back


class _Anew(SourceFileLoader):
    """Compiles a file each time that it is run, and leaves nothing beside it.

    Bytecode that Python keeps is told apart by a file's size and second of change, which an edit may share.
    """

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Raise OSError, as what has no time of change does: bytecode is neither read nor kept then."""
        raise OSError(f"{path}: is compiled anew")


def _module_name(path: Path) -> str:
    return f"{FILE_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _run_file(path: Path) -> ModuleType:
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=_Anew(name, str(path)))
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up the names of their annotations, then and later
    try:
        with users_code("does not run"):
            spec.loader.exec_module(module)
    except KaggleRayError as error:
        del sys.modules[spec.name]
        raise type(error)(f"{path}: {error}{_of_a_file_beside(path, error.__cause__)}") from error
    return module


def _of_a_file_beside(path: Path, cause: BaseException | None) -> str:
    """Return the next step where the module that a file did not find lies beside it, empty where it does not.

    A file's folder is not looked in, or two competitions would share what happens to have one name.
    """
    if not isinstance(cause, ModuleNotFoundError) or cause.name is None:
        return ""
    beside = path.parent / cause.name.partition(".")[0]
    if not (beside.is_dir() or beside.with_suffix(".py").is_file()):
        return ""
    return f". It lies beside the file: export PYTHONPATH={shlex.quote(str(path.parent))}"
