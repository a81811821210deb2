"""How fast a run trains: what epochs and features cost beside one another, and the time that they have taken so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean


@dataclass(kw_only=True, slots=True)
class Pace:
    """The pace of a session, told by the epochs that it has trained, those of a second attempt too."""

    costs: Mapping[str, float] = field(default_factory=dict)
    """Experiment id -> what an epoch of it costs beside the others, in no unit."""
    feature_costs: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    """Experiment id -> of each of its first epochs: set of features that is taken from then on -> what it costs in that
    unit, once for all that take it."""
    first_epoch_at: float | None = None
    """When the first of its epochs ended, in seconds since the Unix epoch; None before."""
    num_epochs: int = 0
    _cost_of_others: float = field(init=False, default=1.0)
    _first_cost: float = field(init=False, default=0.0)
    _cost: float = field(init=False, default=0.0)
    """What all epochs that were trained cost."""
    _seconds: float = field(init=False, default=0.0)
    """Sum of what these took."""
    _missing: dict[str, float] = field(init=False)
    """Set of features that no epoch has taken yet -> what it costs."""
    _there_at: dict[str, float] = field(init=False, default_factory=dict)
    """Other sets -> when the first epoch that took it ended."""
    _first_features_s: float = field(init=False, default=0.0)
    _features_cost: float = field(init=False, default=0.0)
    """What the other sets cost."""
    _features_s: float = field(init=False, default=0.0)
    """Sum of what trials took for them, whether they computed them or waited for others that did."""

    def __post_init__(self) -> None:
        """Take an epoch of whose cost nothing is said for one like the mean."""
        self._cost_of_others = fmean(self.costs.values()) if self.costs else 1.0
        self._missing = {
            name: cost for sets in self.feature_costs.values() for each in sets for name, cost in each.items()
        }

    def cost_of(self, experiment_id: str) -> float:
        """Return what an epoch of an experiment costs beside the others."""
        return self.costs.get(experiment_id, self._cost_of_others)

    def add(self, experiment_id: str, epoch: int, *, duration_s: float, since: float, ended_at: float) -> None:
        """Take in an epoch that was trained; what its trial took ``since`` then, beside it, went into features."""
        if self._waits(experiment_id, epoch, since):
            self._features_s += max(0.0, ended_at - since - duration_s)
        for name in self._sets(experiment_id, epoch):
            self._features_cost += self._missing.pop(name, 0.0)
            self._there_at.setdefault(name, ended_at)
        cost = self.cost_of(experiment_id)
        if self.first_epoch_at is None:
            self.first_epoch_at, self._first_cost, self._first_features_s = ended_at, cost, self._features_s
        self.num_epochs += 1
        self._cost += cost
        self._seconds += duration_s

    def seconds_left(
        self, cost_left: float, *, now: float, num_at_once: int, running: Iterable[tuple[str, int, float]]
    ) -> float | None:
        """Return the wall seconds that are left for epochs that cost so much, and for features; None before the first.

        Epochs take as long as they did from the first one's end on, features left out. That is no less than an epoch's
        own seconds allow in so many slots: the first epochs of several trials end at nearly the same time. Features
        take as long as the others did; before there are any, as long as epochs of that cost.

        Args:
            cost_left: of the epochs to come.
            now: seconds since the Unix epoch.
            num_at_once: trials that run at a time.
            running: experiment id, next epoch, and when the one before ended, of the trials under way.
        """
        if self.first_epoch_at is None:
            return None
        if cost_left <= 0:
            return 0.0
        under_way_s = math.fsum(now - since for name, epoch, since in running if self._waits(name, epoch, since))
        features_s = self._features_s - self._first_features_s + under_way_s
        wall_s = now - self.first_epoch_at - features_s / num_at_once
        at_least = self._seconds / self._cost / num_at_once
        pace = max(at_least, wall_s / ((self._cost - self._first_cost) or self._first_cost))
        of_features = self._features_s / self._features_cost if self._features_cost else self._seconds / self._cost
        features_left_s = max(0.0, of_features * math.fsum(self._missing.values()) - under_way_s)
        return cost_left * pace + features_left_s / num_at_once

    def _sets(self, experiment_id: str, epoch: int) -> Iterable[str]:
        """Return the sets of features that an experiment has taken when ``epoch`` is over."""
        return (name for each in self.feature_costs.get(experiment_id, ())[:epoch] for name in each)

    def _waits(self, experiment_id: str, epoch: int, since: float) -> bool:
        """Return whether, after ``since``, features had to come first that the epoch takes."""
        return any(self._there_at.get(name, math.inf) > since for name in self._sets(experiment_id, epoch))
