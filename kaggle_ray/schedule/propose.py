"""Which experiments a run tries: all that were declared, or what each round proposes by the scores of those before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np

from kaggle_ray.config import Hyperparameters, Search
from kaggle_ray.config.search import Draw
from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError
from kaggle_ray.schedule.effects import fold_adjusted
from kaggle_ray.schedule.searchers import SEARCHERS, Round, Told, check_searcher, random_draws
from kaggle_ray.types import Experiment

_MAX_DRAWS_PER_EXPERIMENT = 3
"""Draws of a sampler for each experiment that is wanted; what they do not give is drawn at random."""
_MAX_RANDOM_DRAWS = 1000
"""Random draws that it takes to give up: the space has nothing else, or next to nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """An experiment as far as it has come.

    >>> from kaggle_ray.types import Experiment
    >>> experiment = Experiment(experiment_id="c0ffee", name="resnet9", hyperparameters={"lr": 1e-3})
    >>> Scored(experiment=experiment, scores={0: 0.31, 1: 0.29}).scores[1]
    0.29
    """

    experiment: Experiment
    scores: Mapping[int, float] = field(default_factory=dict)
    """Fold -> the competition's metric, of the folds whose trial is committed and proven."""
    is_stopped: bool = False
    """Whether no further fold of it is run: it was pruned, lost the race, or failed."""


class Proposer(Protocol):
    """Says which experiments each round of a run adds: a pure function of its arguments.

    So a run proposes the same with one slot or eight, with faults, and when it is resumed.
    """

    def propose(self, number: int, history: Sequence[Scored]) -> tuple[Experiment, ...]:
        """Return the experiments that a round adds; none where there is nothing more to try.

        Args:
            number: of the round, 0 for the first.
            history: all experiments of the rounds before, in the order in which they were proposed, with what is known
                of them when the round begins.
        """
        ...


class GivenExperiments:
    """Proposes all experiments that were declared, in the first round.

    >>> from kaggle_ray.types import Experiment
    >>> given = GivenExperiments([Experiment(experiment_id="c0ffee", name="resnet9", hyperparameters={})])
    >>> [len(given.propose(number, ())) for number in (0, 1)]
    [1, 0]
    """

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        """Propose these ``experiments``, those that others start or learn from before them."""
        self._experiments = tuple(experiments)

    def propose(self, number: int, history: Sequence[Scored]) -> tuple[Experiment, ...]:
        """Return all experiments in round 0."""
        return self._experiments if number == 0 else ()


class SearchProposer:
    """Proposes experiments of a search, a round at a time, by what the experiments of before came to.

    The sampler is told differences over shared folds: what ``fold_adjusted`` says of each experiment. One without a
    score, which was pruned early or failed, counts as bad as the worst that has one.
    """

    def __init__(
        self, search: Search, make_experiment: Callable[[Hyperparameters], Experiment], *, greater_is_better: bool
    ) -> None:
        """Propose experiments that ``make_experiment`` makes of hyperparameters; scores are of the metric's direction.

        Raises:
            ConfigError: there is no such searcher, or its package is not installed.
        """
        check_searcher(search.sampler)
        self._search = search
        self._make_experiment = make_experiment
        self._sign = -1.0 if greater_is_better else 1.0

    def propose(self, number: int, history: Sequence[Scored]) -> tuple[Experiment, ...]:
        """Return the experiments of a round, none twice; fewer where there are not so many, none at the end."""
        size = min(self._search.round_size, self._search.num_experiments - len(history))
        if size <= 0:
            return ()
        known = {scored.experiment.experiment_id for scored in history}
        proposed: dict[str, Experiment] = {}
        for draw in self._draws(self._round(number, history, size)):
            try:
                experiment = self._make_experiment(self._search.hyperparameters(draw))
            except ConfigError:  # each value is fine, as the space was checked; these are not fine together
                continue
            if experiment.experiment_id not in known:
                proposed.setdefault(experiment.experiment_id, experiment)
            if len(proposed) == size:
                break
        return tuple(proposed.values())

    def _draws(self, of: Round) -> Iterator[Draw]:
        """Yield the sampler's draws, then random ones: a sampler that is sure of itself repeats itself."""
        with users_code(f"searcher {self._search.sampler!r}"):
            yield from islice(SEARCHERS[self._search.sampler](of), _MAX_DRAWS_PER_EXPERIMENT * of.size)
        yield from islice(random_draws(of), _MAX_RANDOM_DRAWS)

    def _round(self, number: int, history: Sequence[Scored], size: int) -> Round:
        losses = self._sign * fold_adjusted([scored.scores for scored in history])
        worst = max(losses[np.isfinite(losses)], default=None)
        told: list[Told] = []
        for scored, loss in zip(history, losses.tolist(), strict=True):
            draw = self._search.draw_of(scored.experiment.hyperparameters)
            if not np.isfinite(loss) and scored.is_stopped and worst is not None:
                loss = float(worst)
            if draw is not None and np.isfinite(loss):
                told.append(Told(draw=draw, loss=loss))
        return Round(
            dimensions=self._search.dimensions,
            told=told,
            seed=self._search.seed,
            number=number,
            num_before=len(history),
            size=size,
        )


_: tuple[type[Proposer], ...] = (GivenExperiments, SearchProposer)
