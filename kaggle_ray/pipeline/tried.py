"""What a run tries: the experiments that the user names, or a search for some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaggle_ray.config import Hyperparameters, Search, SearchSpace, parse_hyperparameters, with_seeds
from kaggle_ray.config.loading import find_file, load_attribute
from kaggle_ray.config.settings import Settings
from kaggle_ray.config.space import Texts
from kaggle_ray.config.users_code import users_code
from kaggle_ray.data.competition import Competition
from kaggle_ray.errors import ConfigError
from kaggle_ray.given import HyperparameterValue
from kaggle_ray.pipeline.experiments import at_own_sizes
from kaggle_ray.pipeline.options import ExperimentLike, RunOptions
from kaggle_ray.schedule.searchers import check_searcher
from kaggle_ray.store.record import RunRecord

_NUM_EXPERIMENTS = 20
_SMALLEST_ROUND = 4
_NUM_ROUNDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What a run tries."""

    hyperparameter_sets: list[Hyperparameters]
    """The experiments, or those at the ends of what the search draws."""
    search: Search | None = None
    texts: Sequence[tuple[Hyperparameters, Texts]] = ()
    """Names and notes that the space has of some of the experiments."""


def what_is_tried(options: RunOptions, competition: Competition, settings: Settings, record: RunRecord | None) -> Tried:
    """Return the experiments that the user names, else those that the run was begun with, else the default space's.

    Where a search proposes them, it is returned beside those at the ends of what it draws. A fast-dev run tries these
    themselves, and nothing is searched.

    Raises:
        ConfigError: options contradict each other or the space, or the sampler's package is not installed.
    """
    if record is not None and not _names_any(options):
        if record.search is not None:
            return Tried(hyperparameter_sets=at_own_sizes(record.search.extremes), search=record.search)
        of_record = [parse_hyperparameters(each.hyperparameters, where=each.name) for each in record.experiments]
        return Tried(hyperparameter_sets=of_record)
    space = _space(options, competition, settings)
    if not space.search:
        for flag in ("search", "num_experiments", "round_size"):
            if (given := getattr(options, flag)) is not None:
                raise ConfigError(
                    f"--{flag.replace('_', '-')} {given}: the space has nothing to draw values from. "
                    f"Give it a search, such as search={{'lr': log_uniform(1e-4, 1e-2)}}."
                )
        points = with_seeds(space.expand(options.overrides), options.seeds)
        return Tried(hyperparameter_sets=at_own_sizes(points), texts=_texts(space, options))
    search = _search(space, options)
    return Tried(hyperparameter_sets=at_own_sizes(search.extremes), search=None if options.fast_dev else search)


def _texts(space: SearchSpace, options: RunOptions) -> list[tuple[Hyperparameters, Texts]]:
    """Return what the space says of its experiments; a name of one with further seeds tells the seed of these."""
    found: list[tuple[Hyperparameters, Texts]] = []
    for point, texts in space.texts(options.overrides):
        (sized,) = at_own_sizes([point])
        found.append((sized, texts))
        for seed in range(point.training.seed + 1, point.training.seed + options.seeds):
            named = {name: f"{text} seed={seed}" if text and name == "name" else text for name, text in texts.items()}
            found.append((sized.replace(seed=seed), named))
    return found


def _names_any(options: RunOptions) -> bool:
    given = (options.experiments, options.space, options.search, options.num_experiments, options.round_size)
    return any(each is not None for each in given) or bool(options.overrides) or options.seeds > 1


def _space(options: RunOptions, competition: Competition, settings: Settings) -> SearchSpace:
    if options.experiments is not None and options.space is not None:
        raise ConfigError("expected experiments or a space, got both.")
    if isinstance(options.experiments, Mapping | str):
        raise ConfigError("experiments: expected a list of dictionaries, [{...}, ...], got one. Put it into a list.")
    if options.experiments is not None:
        return SearchSpace(experiments=[_as_dict(hyperparameters) for hyperparameters in options.experiments])
    if isinstance(options.space, SearchSpace):
        return options.space
    if options.space is not None:
        return load_attribute(find_file(options.space, folder="search_spaces"), "SPACE", SearchSpace)
    with users_code(f"{competition.name}: default_space"):
        return competition.default_space(settings)


def _search(space: SearchSpace, options: RunOptions) -> Search:
    if options.seeds > 1:
        raise ConfigError(
            f"--seeds {options.seeds}: the space is searched, one seed an experiment. "
            f"Run what the search finds with more seeds, as a space of its own."
        )
    if options.source is not None:
        raise ConfigError("expected a source of your own or a space that is searched, got both.")
    points = space.expand(options.overrides)
    num_experiments = options.num_experiments or _NUM_EXPERIMENTS
    search = Search(
        points=tuple(point.to_dict() for point in points),
        distributions=space.search,
        sampler=options.search or "tpe",
        num_experiments=num_experiments,
        round_size=options.round_size or max(_SMALLEST_ROUND, -(-num_experiments // _NUM_ROUNDS)),
        seed=points[0].training.seed,
    )
    check_searcher(search.sampler)
    return search


def _as_dict(hyperparameters: ExperimentLike) -> Mapping[str, HyperparameterValue]:
    return hyperparameters.to_dict() if isinstance(hyperparameters, Hyperparameters) else hyperparameters
