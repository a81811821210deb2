"""One mechanism for all that a user names in an experiment and may add to: models, losses, constraints and the like."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from kaggle_ray import given
from kaggle_ray.errors import ConfigError, suggest

T = TypeVar("T")
B = TypeVar("B")

_PACKAGE = Path(__file__).resolve().parent
_NOTEBOOK = "__main__"
CELLS = "notebook_cells"
"""Folder of the files that cells of notebooks are written to, each in one of its own."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """Who registered a name: the same one may do it again."""

    file: str
    qualname: str

    def __str__(self) -> str:
        return f"{self.qualname} in {self.file}"

    @property
    def is_built_in(self) -> bool:
        return _PACKAGE in Path(self.file).parents


class Registry(Generic[T]):
    """Values of one kind by name: ours, and those that a competition's file, a script or a notebook registers.

    Example:
        >>> constraints: Registry[Callable[[float], float]] = Registry("constraint", reserved=["none"])
        >>> @constraints.register("positive")
        ... def positive(weight: float) -> float:
        ...     return max(weight, 0.0)
        >>> constraints["positive"](-1.0)
        0.0
        >>> constraints["positiv"]
        Traceback (most recent call last):
        kaggle_ray.errors.ConfigError: unknown constraint 'positiv'. Did you mean 'positive'?
    """

    def __init__(
        self, kind: str, *, reserved: Collection[str] = (), of_given: Callable[[str, Any], T] | None = None
    ) -> None:
        """Start without any name.

        Args:
            kind: what a person calls one of the values, for messages.
            reserved: names that mean something else where one of these is named, and so are never registered.
            of_given: makes a value of the name and the function or class that a person gives in the place of a
                registered name; None where all have to be registered.
        """
        self.kind = kind
        self.reserved = tuple(reserved)
        self._of_given = of_given
        self._values: dict[str, T] = {}
        self._origins: dict[str, _Origin] = {}
        self._builders: list[tuple[str, object]] = []
        _REGISTRIES.append(self)

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its function, class or value under ``name``, and returns it.

        Raises:
            ConfigError: the name is built in. The decorator raises it where another one has the name.
        """
        return self.register_as(name, lambda value: value)

    def register_as(self, name: str, make: Callable[[B], T]) -> Callable[[B], B]:
        """Return a decorator that registers what ``make`` makes of its function or class.

        A file that is loaded once more registers its own names anew, and so does a notebook's cell.

        Raises:
            ConfigError: the name is built in. The decorator raises it where another one has the name.
        """
        if name in self.reserved:
            raise self._built_in(name)

        def decorate(builder: B) -> B:
            origin = _origin(builder)
            taken = self._origins.get(name, origin)
            if taken.is_built_in and taken != origin:
                raise self._built_in(name)
            if taken != origin:
                raise ConfigError(
                    f"{self.kind} {name!r} is registered twice: as {taken}, and as {origin}. "
                    f"Register one of them under another name."
                )
            self._values[name], self._origins[name] = make(builder), origin
            self._builders.append((name, builder))
            return builder

        return decorate

    def __getitem__(self, name: str) -> T:
        """Return what has the ``name``. Raises ConfigError, with the nearest name, where there is none."""
        if name not in self:
            raise self._unknown(name)
        return self._values[name] if name in self._values else self._given_as(str(name))

    def check(self, name: str) -> None:
        """Raise ConfigError, with the nearest name, where ``name`` is neither registered nor reserved."""
        if name not in self.reserved:
            self.__getitem__(name)

    def __contains__(self, name: object) -> bool:
        """Return whether ``name`` is registered, or is that of what a person gives itself."""
        return name in self._values or self._found(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Yield the registered names in their order."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many names are registered."""
        return len(self._values)

    def items(self) -> Collection[tuple[str, T]]:
        """Return the registered names with their values."""
        return self._values.items()

    def names(self) -> list[str]:
        """Return all that may be named: the reserved names, then the registered ones."""
        return [*self.reserved, *self._values]

    def name_of(self, builder: object) -> str | None:
        """Return the name that ``builder`` was registered under, None where it was not."""
        return next((name for name, each in self._builders if each is builder), None)

    @property
    def takes_given(self) -> bool:
        """Whether a function or class need not be registered in order to be named."""
        return self._of_given is not None

    def _unknown(self, name: str) -> ConfigError:
        if self.takes_given and given.is_name(name):
            return ConfigError(f"unknown {self.kind} {name!r}. {given.NEXT_STEP}")
        return ConfigError(f"unknown {self.kind} {name!r}{suggest(name, self.names())}")

    def _given_as(self, name: str) -> T:
        assert self._of_given is not None
        return self._of_given(name, self._found(name))

    def _found(self, name: object) -> Any:
        """Return what a person gave itself under ``name``, of models those that are for this task."""
        if self._of_given is None:
            return None
        if self.kind not in _MODELS:
            return given.found(self.kind, name)
        it = given.found(_MODELS[0], name)
        return it if it is not None and _segments(it) == (self.kind == _MODELS[1]) else None

    def is_built_in(self, name: str) -> bool:
        """Return whether the package itself registered ``name``, or reserved it."""
        return name in self.reserved or (name in self._origins and self._origins[name].is_built_in)

    def _built_in(self, name: str) -> ConfigError:
        return ConfigError(f"{self.kind} {name!r} is built in. Register yours under another name.")

    def _keep(self, names: Collection[str]) -> None:
        for name in [name for name in self if name not in names and not self.is_built_in(name)]:
            del self._values[name], self._origins[name]
        self._builders = [(name, builder) for name, builder in self._builders if name in self._values]


_REGISTERED_ONLY = {"ensemble": "combiner", "searcher": "searcher"}
"""Kind whose names are those of folders and options, so that each has to have one -> what its decorator calls it."""
_MODELS = ("model", "segmenter")
"""Kinds that one hyperparameter names."""

_REGISTRIES: list[Registry[Any]] = []
"""All there are in this process."""


def of_others(names: Collection[str]) -> dict[str, Any]:
    """Return ``<kind> <name>`` -> value of those of ``names`` that the package itself did not register."""
    return {
        f"{registry.kind} {name}": value
        for registry in _REGISTRIES
        for name, value in registry.items()
        if name in names and not registry.is_built_in(name)
    }


def registered_names(kind: str) -> set[str]:
    """Return the names that this process knows of one ``kind``, such as model; none where nothing has asked for it."""
    return {name for registry in _REGISTRIES if registry.kind == kind for name in registry.names()}


def named(kind: str, it: object, *, where: str) -> str:
    """Return a name as it is; that of what is given in the place of one, registered as one of ``kind`` or not.

    Raises:
        ConfigError: it is none of these, or other processes could not find it; ``where`` begins the message.
    """
    if isinstance(it, str):
        return given.asked(kind, it)
    kinds = _MODELS if kind == _MODELS[0] else (kind,)
    for registry in _REGISTRIES:
        if registry.kind in kinds and (name := registry.name_of(it)) is not None:
            return name
    if kind in _REGISTERED_ONLY:
        raise ConfigError(
            f"{where}: expected a name, or what is registered under one, got {it!r}. Register it by kaggle_ray."
            f"register_{_REGISTERED_ONLY[kind]} in the competition's file, script or cell: every process loads that."
        )
    return given.name_of(kind, it, where=where)


def _segments(it: Any) -> bool:
    """Return whether a builder of models is one of segmenters: these are told of a table's features."""
    try:
        return "num_table_features" in inspect.signature(it).parameters
    except (TypeError, ValueError):  # what is written in C, or no function
        return False


@contextmanager
def registrations_undone() -> Iterator[None]:
    """Forget at the end what was registered meanwhile: for tests. What is built in stays."""
    before = {id(registry): tuple(registry) for registry in _REGISTRIES}
    try:
        yield
    finally:
        for registry in _REGISTRIES:
            registry._keep(before.get(id(registry), ()))


def _origin(builder: object) -> _Origin:
    """Return who applies the decorator to ``builder``.

    It is the caller's file that counts: a class, a partial or a library's function does not tell where it is
    registered, and a competition's file that is loaded by path has another module name than an imported one, or than
    a script that is run. Each version of a notebook's cell has a file name of its own, and another one where it is
    written to a file, so that a notebook counts as one file.
    """
    caller = sys._getframe(2)
    path = Path(caller.f_code.co_filename)
    is_cell = caller.f_globals.get("__name__") == _NOTEBOOK and not path.is_file()
    file = _NOTEBOOK if is_cell or path.parent.parent.name == CELLS else str(path.resolve())
    return _Origin(file, getattr(builder, "__qualname__", type(builder).__qualname__))
