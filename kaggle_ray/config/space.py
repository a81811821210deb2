"""Search spaces: plain dictionaries that expand to lists of hyperparameters, and what is drawn beside them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from kaggle_ray.config.distributions import Choice, Distribution, FloatRange, IntRange
from kaggle_ray.config.hyperparameters import Hyperparameters, check_names, parse_hyperparameters
from kaggle_ray.config.search import extremes_of
from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError
from kaggle_ray.given import HyperparameterValue

_Values: TypeAlias = "Mapping[str, HyperparameterValue]"
Texts = Mapping[str, str]
"""The ``name`` and ``notes`` of an experiment, where it has them."""
_TEXTS = ("name", "notes")


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """Which experiments to run: every point of ``grid`` and every one of ``experiments``, over ``base``; or a search.

    A key that is no hyperparameter raises ConfigError at once, on import of the file that defines the space.

    >>> from kaggle_ray import SearchSpace
    >>> space = SearchSpace(base={"model": "resnet9"}, grid={"lr": [1e-3, 3e-3], "augment": ["light", "heavy"]})
    >>> [(point.optimizer.lr, point.images.augment) for point in space.expand()]
    [(0.001, 'light'), (0.001, 'heavy'), (0.003, 'light'), (0.003, 'heavy')]
    """

    base: Mapping[str, HyperparameterValue] = field(default_factory=dict)
    grid: Mapping[str, Sequence[HyperparameterValue]] = field(default_factory=dict)
    """Values per hyperparameter; their product is taken, the last key fastest."""
    experiments: Sequence[Mapping[str, HyperparameterValue]] = ()
    """Further points, each a dictionary; with a grid, each is combined with every point of it. Beside hyperparameters
    one may have a ``name`` and ``notes`` of your own, which change nothing of what is computed."""
    search: Mapping[str, Distribution] = field(default_factory=dict)
    """What values are drawn from, such as ``{"lr": log_uniform(1e-4, 1e-2)}``; each draw is put into one of the points,
    which is drawn too. Only draws are run, then: the points themselves have no value there."""

    def __post_init__(self) -> None:
        """Check every point, and the ends of what is searched. Raises ConfigError."""
        check_names(self.search, where="search")
        for name, distribution in self.search.items():
            if not isinstance(distribution, FloatRange | IntRange | Choice):
                raise ConfigError(
                    f"search: {name!r}: expected uniform(...), log_uniform(...), int_uniform(...) or choice([...]), "
                    f"got {distribution!r}."
                )
            for where, names in (("base", self.base), ("grid", self.grid), *_numbered(self.experiments)):
                if name in names:
                    raise ConfigError(f"search: {name!r}: {where} has it, too. Say it in one place.")
        points = self.expand()
        if self.search:
            extremes_of([point.to_dict() for point in points], self.search)

    def expand(self, overrides: Mapping[str, HyperparameterValue] | None = None) -> tuple[Hyperparameters, ...]:
        """Return the points in order, without duplicates; ``overrides`` replaces values of ``base``.

        A key such as ``model_args.width`` replaces a value of a dictionary and leaves the others: in every experiment,
        where the space varies the dictionary, unless it varies this very value. What is searched has the first of its
        values.

        Raises:
            ConfigError: an unknown or misspelt hyperparameter, a bad value, or an override that the space varies.
        """
        overrides = overrides or {}
        check_names({name.partition(".")[0]: value for name, value in overrides.items()}, where="--set")
        _check_not_varied(self, overrides)
        dotted = {name: value for name, value in overrides.items() if "." in name}
        before, after = set[str](), set[str]()
        firsts = {name: distribution.ends[0] for name, distribution in self.search.items()}
        base = _overridden({**firsts, **self.base}, overrides)
        check_names(base, where="base")
        check_names(self.grid, where="grid")
        for name, each in self.grid.items():
            if not isinstance(each, list | tuple):
                raise ConfigError(f"grid: {name!r}: expected a list of values, got {each!r}.")
        products = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        hyperparameter_sets: dict[Hyperparameters, None] = {}
        for number, entry in enumerate(self.experiments or [{}]):
            extra = _without_texts(entry, number, num_points=len(products), is_searched=bool(self.search))
            check_names(extra, where=f"experiments[{number}]")
            for product in products:
                plain = {**base, **extra, **product}
                values = _overridden(plain, dotted)
                before.add(repr(plain))
                after.add(repr(values))
                hyperparameters = parse_hyperparameters(values, where=f"experiment {len(hyperparameter_sets)}")
                hyperparameter_sets |= dict.fromkeys(_lineage_of(hyperparameters))
        if len(after) < len(before):
            raise ConfigError(f"--set {', '.join(dotted)}: the search space varies it. Override only what it fixes.")
        if not hyperparameter_sets:
            raise ConfigError("the search space is empty: a key of the grid has no values.")
        return tuple(hyperparameter_sets)

    def texts(self, overrides: Mapping[str, HyperparameterValue] | None = None) -> list[tuple[Hyperparameters, Texts]]:
        """Return the points whose entry of ``experiments`` says a name or notes, with these; see ``expand``."""
        found: list[tuple[Hyperparameters, Texts]] = []
        for entry in self.experiments:
            texts = {name: str(entry[name]) for name in _TEXTS if name in entry}
            if not texts:
                continue
            alone = replace(self, experiments=[{name: value for name, value in entry.items() if name not in _TEXTS}])
            # What it starts from comes before it, and is not meant.
            of_entry = alone.expand(overrides)
            ancestors = {known for point in of_entry for known in _lineage_of(point)[:-1]}
            found += [(point, texts) for point in of_entry if point not in ancestors]
        return found


def _without_texts(entry: _Values, number: int, *, num_points: int, is_searched: bool) -> _Values:
    """Return the hyperparameters of an entry of ``experiments``.

    Raises:
        ConfigError: its name or notes are no text, or would be of several points, or of none that is run.
    """
    for name in _TEXTS:
        value = entry.get(name, "")
        if not isinstance(value, str):
            raise ConfigError(f"experiments[{number}]: {name!r}: expected a text, got {value!r}.")
        if value and is_searched:
            raise ConfigError(
                f"experiments[{number}]: {name!r}: a space that is searched runs what it draws, and not its points, "
                f"which so have no {name}. kaggle-ray label names what was drawn."
            )
    if entry.get("name") and num_points > 1:
        raise ConfigError(
            f"experiments[{number}]: 'name': the grid makes {counted(num_points, 'experiment')} of it, and a name is "
            "of one. Name them by kaggle-ray label, or list them without a grid."
        )
    return {name: value for name, value in entry.items() if name not in _TEXTS}


def with_seeds(hyperparameter_sets: Sequence[Hyperparameters], num_seeds: int) -> tuple[Hyperparameters, ...]:
    """Return every point with ``num_seeds`` seeds: its own, the next one, and so on, without duplicates.

    All points come with their own seed first, so that a deadline costs seeds rather than experiments. What starts from
    another experiment's weights starts from the one with its own seed.

    Args:
        hyperparameter_sets: a space's, parents before their children.
        num_seeds: at least 1.

    Raises:
        ConfigError: there is no such number of seeds.
    """
    if num_seeds < 1:
        raise ConfigError(f"--seeds {num_seeds}: expected at least 1.")
    seeded: dict[Hyperparameters, None] = {}
    for number in range(num_seeds):
        for hyperparameters in hyperparameter_sets:
            lineage = _lineage_of(hyperparameters.replace(seed=hyperparameters.training.seed + number))
            seeded |= dict.fromkeys(lineage)
    return tuple(seeded)


def _check_not_varied(space: SearchSpace, overrides: _Values) -> None:
    """Raise ConfigError where an override is of what experiments differ in: a value, or one of a dictionary's."""
    if not overrides:
        return
    entries = [*space.experiments, *({name: value} for name, values in space.grid.items() for value in values)]
    for name in overrides:
        first, *keys = name.split(".")
        varied = [entry[first] for entry in entries if first in entry]
        is_of_base = first in space.base and first not in space.grid and any(first not in e for e in space.experiments)
        of_base = [space.base[first]] if is_of_base else []
        said = [value for each in (*of_base, *varied) for value in _values_at(each, keys)]
        if first in space.search or (varied and (not keys or any(value != said[0] for value in said))):
            values = f", {' and '.join(map(repr, said))}" if keys and said else ""
            raise ConfigError(f"--set {name}: the search space varies it{values}. Override only what it fixes.")


def _values_at(value: HyperparameterValue, keys: Sequence[str]) -> list[HyperparameterValue]:
    """Return the value that ``keys`` lead to in nested dictionaries; nothing where there is none."""
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return []
        value = value[key]
    return [value]


def _overridden(base: _Values, overrides: _Values) -> dict[str, HyperparameterValue]:
    """Return ``base`` with ``overrides``: whole values first, then those of dictionaries, by keys with dots.

    Raises:
        ConfigError: a key names a value of what is no dictionary.
    """
    values = {**base, **{name: value for name, value in overrides.items() if "." not in name}}
    for name, value in overrides.items():
        first, *keys = name.split(".")
        if not keys:
            continue
        outer = _copied(values.get(first, Hyperparameters().to_dict()[first]), where=name)
        values[first] = outer
        for key in keys[:-1]:
            inner = _copied(outer.get(key, {}), where=name)
            outer[key] = inner
            outer = inner
        outer[keys[-1]] = value
    return values


def _copied(value: HyperparameterValue, *, where: str) -> dict[str, HyperparameterValue]:
    """Return a dictionary of its own with what ``value`` has. Raises ConfigError where it is none."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"--set {where}: expected a dictionary before the dot, got {value!r}.")
    return dict(value)


def _numbered(experiments: Sequence[_Values]) -> list[tuple[str, _Values]]:
    return [(f"experiments[{number}]", each) for number, each in enumerate(experiments)]


def _lineage_of(hyperparameters: Hyperparameters) -> list[Hyperparameters]:
    """Return ``hyperparameters`` after the experiments that it starts or learns from, the first ancestor first."""
    return [*(ancestor for other in hyperparameters.ancestors for ancestor in _lineage_of(other)), hyperparameters]
