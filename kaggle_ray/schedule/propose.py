"""Which experiments a run tries: all that were declared, or what each round proposes by the scores of those before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kaggle_ray.types import Experiment


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


_: type[Proposer] = GivenExperiments
