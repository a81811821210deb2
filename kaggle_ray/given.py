"""What a person gives itself in the place of a registered name: the name that all processes find it by.

``MyLoss`` of a module that can be imported is ``package.module:MyLoss``; of the competition's file, a script or a
notebook's cell it is ``:MyLoss``. Nothing is imported on the word of a run's record, which others may have written: a
process finds what it was given, what the competition's file defines or imports, and what the process that was given it
says.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import ModuleType
from typing import Any, TypeAlias

from kaggle_ray.errors import ConfigError

HyperparameterValue: TypeAlias = (
    bool
    | int
    | float
    | str
    | Callable[..., Any]
    | Sequence["HyperparameterValue"]
    | Mapping[str, "HyperparameterValue"]
    | None
)
"""What an experiment may say: what a JSON text may hold, and a function or class in the place of a registered name."""

FILE_PREFIX = "kaggle_ray_file_"
"""The beginning of the names of modules that are loaded by path."""
NEXT_STEP = "Define it at the top level of the competition's file, or import it there by its name."
"""What makes a name of ``name_of`` known to every process."""
_NAME = re.compile(r"(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")

_asked: set[tuple[str, str]] = set()
"""Kind and name of all that experiments of this process name in this form."""
_given: dict[tuple[str, str], object] = {}
"""Kind and name of what this process was given."""
_home: list[ModuleType] = []
"""The competition's file, as it was loaded last."""


def name_of(kind: str, it: object, *, where: str) -> str:
    """Note that a function or class is given in the place of one that is registered, and return its name.

    Raises:
        ConfigError: it is no function or class, or other processes could not find it; ``where`` begins the message.
    """
    module, qualname = getattr(it, "__module__", None), getattr(it, "__qualname__", None)
    if not (inspect.isclass(it) or inspect.isroutine(it)) or not isinstance(module, str) or not qualname:
        raise ConfigError(f"{where}: expected a name, a function or a class, got {it!r}. Give what makes it.")
    if "<" in qualname:
        what = "a lambda" if qualname.endswith("<lambda>") else "defined within a function"
        raise ConfigError(
            f"{where}: {qualname!r} is {what}, which other processes cannot find. Define it by def or class at the top "
            f"level of the competition's file, or of a module that can be imported."
        )
    is_of_file = module == "__main__" or module.startswith(FILE_PREFIX)
    if not is_of_file and _attribute(sys.modules.get(module), qualname) is not it:
        raise ConfigError(
            f"{where}: {module}.{qualname} is something else now, so that other processes would find that. Give what "
            f"has this name."
        )
    name = f"{'' if is_of_file else module}:{qualname}"
    _given[kind, name] = it
    return asked(kind, name)


def asked(kind: str, name: str) -> str:
    """Return a name of one ``kind``; where it is of the form that ``name_of`` gives, it is looked for from now on."""
    if is_name(name):
        _asked.add((kind, name))
    return name


def is_name(name: object) -> bool:
    """Return whether ``name`` is of the form that ``name_of`` gives."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def found(kind: str, name: object) -> Any:
    """Return what has the ``name`` that ``name_of`` gave it; None where it is no such name of this kind.

    Raises:
        ConfigError: the competition's file has another one of this name.
    """
    if not isinstance(name, str) or (kind, name) not in _asked:
        return None
    it = _given.get((kind, name))
    at_home = _at_home(name)
    if it is None or at_home is None or name[0] != ":":
        is_elsewhere = str(getattr(it, "__module__", "")).startswith(FILE_PREFIX) and _home
        return at_home if it is None or is_elsewhere else it
    if _source(it) != _source(at_home):
        raise ConfigError(
            f"{kind} {name!r}: {_home[0].__file__} has another one of this name, which other processes would find. "
            f"Give that one, or call yours otherwise."
        )
    return at_home


def set_home(module: ModuleType) -> None:
    """Note the competition's file, where what it defines or imports is looked for."""
    _home[:] = [module]


def to_import() -> Mapping[str, tuple[str, ...]]:
    """Return kind -> names of what this process was given and others have to import, for ``import_given`` there."""
    kinds = sorted({kind for kind, _ in _given})
    return {kind: tuple(sorted(n for k, n in _given if k == kind and n[0] != ":")) for kind in kinds}


def import_given(names: Mapping[str, tuple[str, ...]]) -> None:
    """Import what another process was given. Raises ConfigError where it is not here."""
    for kind, of_kind in names.items():
        for name in of_kind:
            if (kind, name) in _given:
                continue
            module, _, qualname = name.partition(":")
            try:
                _given[kind, name] = attrgetter(qualname)(importlib.import_module(module))
            except (ImportError, AttributeError) as error:
                raise ConfigError(
                    f"{kind} {name!r} cannot be imported here: {error}. Define it in the competition's file, or "
                    f"install its module on every machine."
                ) from error


def _at_home(name: str) -> object | None:
    """Return what the competition's file defines, or has imported by itself, under a name of ``name_of``."""
    module, _, qualname = name.partition(":")
    if not _home:
        return None
    if module:
        named = ((getattr(it, "__module__", ""), getattr(it, "__qualname__", ""), it) for it in vars(_home[0]).values())
        return next((it for of, as_, it in named if (of, as_) == (module, qualname)), None)
    it = _attribute(_home[0], qualname)
    return it if getattr(it, "__module__", None) == _home[0].__name__ else None


def _attribute(module: ModuleType | None, qualname: str) -> object | None:
    try:
        return attrgetter(qualname)(module)  # type: ignore[no-any-return]
    except AttributeError:
        return None


def _source(it: Any) -> str | None:
    try:
        return inspect.getsource(it)
    except (OSError, TypeError):  # made by exec, or in a console
        return None
