"""Searchers by name: each yields one draw after another, told what the draws of before came to.

Optuna's are asked in a study that is made anew for each round and is told the whole history: nothing lives on between
rounds but what is in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kaggle_ray.config.distributions import Choice, Distribution, FloatRange
from kaggle_ray.config.search import Draw
from kaggle_ray.errors import ConfigError
from kaggle_ray.registry import Registry
from kaggle_ray.types import JsonValue

if TYPE_CHECKING:
    import optuna


_OPTUNAS = ("tpe", "gp")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A draw, and what it came to."""

    draw: Draw
    loss: float
    """Smaller is better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What a searcher knows when a round begins."""

    dimensions: Mapping[str, Distribution]
    told: Sequence[Told]
    """What is known of earlier draws, in the order in which they were proposed."""
    seed: int
    """The search's."""
    number: int
    """0 for the first round."""
    num_before: int
    """Draws of the rounds before, those included of which nothing is known."""
    size: int
    """Draws that are wanted."""

    @property
    def own_seed(self) -> int:
        """A seed of this very round."""
        return int(np.random.SeedSequence([self.seed, self.number]).generate_state(1)[0])


Draws = Callable[[Round], Iterator[Draw]]
"""Yields as many draws as are asked for, repeated ones among them."""

SEARCHERS: Registry[Draws] = Registry("searcher")
"""Ours, by what ``--search`` calls them, and those that a competition's file registers."""


def register_searcher(name: str) -> Callable[[Draws], Draws]:
    """Register a generator function that yields draws under ``name``, for ``--search``.

    It is called anew for each round with a ``Round``, knows nothing but that, and yields a value for each dimension.
    In the competition's file, a search around the best draw so far:

    >>> import numpy as np
    >>> from kaggle_ray import register_searcher
    >>> @register_searcher("nearby")
    ... def nearby(of):
    ...     generator = np.random.default_rng(of.own_seed)
    ...     best = min(of.told, key=lambda told: told.loss, default=None)
    ...     while True:
    ...         draw = {name: each.at(generator.random()) for name, each in of.dimensions.items()}
    ...         if best is not None:  # all but one value stay
    ...             changed = list(draw)[generator.integers(len(draw))]
    ...             draw = {**best.draw, changed: draw[changed]}
    ...         yield draw
    >>> from kaggle_ray.testing.searcher_contract import check_searcher
    >>> check_searcher(nearby)

    Raises:
        ConfigError: the name is built in, or another searcher has it.
    """
    return SEARCHERS.register(name)


@SEARCHERS.register("random")
def random_draws(of: Round) -> Iterator[Draw]:
    """Yield independent draws."""
    random = np.random.default_rng(of.own_seed)
    while True:
        yield _draw_at(random.random(len(of.dimensions)), of.dimensions)


@SEARCHERS.register("sobol")
def sobol_draws(of: Round) -> Iterator[Draw]:
    """Yield the points of one scrambled Sobol sequence, which fills the space evenly; each round goes on with it."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(of.dimensions), scramble=True, rng=of.seed)
    if of.num_before:  # SciPy raises OverflowError for 0
        sequence.fast_forward(of.num_before)
    while True:
        yield _draw_at(sequence.random(1)[0], of.dimensions)


def optuna_draws(name: str, of: Round) -> Iterator[Draw]:
    """Yield what one of Optuna's samplers asks for, each knowing of those before it that they are being tried.

    Raises:
        ConfigError: Optuna is not installed.
    """
    optuna = _import_optuna(name)
    distributions = {each: _as_optuna(distribution) for each, distribution in of.dimensions.items()}
    make = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}[name]
    study = optuna.create_study(sampler=make(seed=of.own_seed, n_startup_trials=of.size))
    for each in of.told:
        params = {dim: _to_optuna(of.dimensions[dim], each.draw[dim]) for dim in distributions}
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=each.loss))
    while True:
        params = study.ask(distributions).params  # stays pending: the next one is told that it is being tried
        yield {dim: _from_optuna(of.dimensions[dim], params[dim]) for dim in distributions}


@SEARCHERS.register("tpe")
def tpe_draws(of: Round) -> Iterator[Draw]:
    """Yield what is likelier among the good draws than among the others; the extra search."""
    yield from optuna_draws("tpe", of)


@SEARCHERS.register("gp")
def gp_draws(of: Round) -> Iterator[Draw]:
    """Yield what a Gaussian process expects to improve most; the extra search."""
    yield from optuna_draws("gp", of)


def check_searcher(name: str) -> None:
    """Raise ConfigError where there is no such searcher, or its package is not installed."""
    SEARCHERS.check(name)
    if name in _OPTUNAS:
        _import_optuna(name)


def _draw_at(shares: Any, dimensions: Mapping[str, Distribution]) -> Draw:
    return {name: each.at(float(share)) for (name, each), share in zip(dimensions.items(), shares, strict=True)}


def _import_optuna(name: str) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            f"--search {name}: needs Optuna, which does not import here: {error}. "
            f"pip install 'kaggle-ray[search]', or use --search random or sobol, which need nothing."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would tell of each study on stderr
    return optuna


def _as_optuna(distribution: Distribution) -> optuna.distributions.BaseDistribution:
    from optuna import distributions as of

    if isinstance(distribution, Choice):  # by number: Optuna chooses among numbers and texts only
        return of.CategoricalDistribution(tuple(range(len(distribution.values))))
    if isinstance(distribution, FloatRange):
        return of.FloatDistribution(distribution.low, distribution.high, log=distribution.log)
    return of.IntDistribution(distribution.low, distribution.high, log=distribution.log, step=distribution.step)


def _to_optuna(distribution: Distribution, value: JsonValue) -> Any:
    return distribution.index(value) if isinstance(distribution, Choice) else value


def _from_optuna(distribution: Distribution, value: Any) -> JsonValue:
    if isinstance(distribution, Choice):
        chosen: JsonValue = distribution.values[value]
        return chosen
    return distribution.nearest(value) if isinstance(distribution, FloatRange) else int(value)
