"""How fast a run trains: what epochs cost beside one another, and the wall time that they have taken so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean


@dataclass(kw_only=True, slots=True)
class Pace:
    """The pace of a session, told by the epochs that it has trained, those of a second attempt too."""

    costs: Mapping[str, float] = field(default_factory=dict)
    """Experiment id -> what an epoch of it costs beside the others, in no unit."""
    first_epoch_at: float | None = None
    """When the first of its epochs ended, in seconds since the Unix epoch; None before."""
    num_epochs: int = 0
    _cost_of_others: float = field(init=False, default=1.0)
    _first_cost: float = field(init=False, default=0.0)
    _cost: float = field(init=False, default=0.0)
    """What all epochs that were trained cost."""
    _seconds: float = field(init=False, default=0.0)
    """Sum of what these took."""

    def __post_init__(self) -> None:
        """Take an epoch of whose cost nothing is said for one like the mean."""
        self._cost_of_others = fmean(self.costs.values()) if self.costs else 1.0

    def cost_of(self, experiment_id: str) -> float:
        """Return what an epoch of an experiment costs beside the others."""
        return self.costs.get(experiment_id, self._cost_of_others)

    def add(self, experiment_id: str, *, duration_s: float, ended_at: float) -> None:
        """Take in an epoch that was trained."""
        cost = self.cost_of(experiment_id)
        if self.first_epoch_at is None:
            self.first_epoch_at, self._first_cost = ended_at, cost
        self.num_epochs += 1
        self._cost += cost
        self._seconds += duration_s

    def seconds_per_cost(self, *, now: float, num_at_once: int) -> float | None:
        """Return the wall seconds that all trials together take for epochs that cost 1; None before the first.

        They are those from the first epoch's end on: what came before, such as the features of a frozen backbone,
        comes once. They are no less than an epoch's own seconds allow in so many slots: the first epochs of several
        trials end at nearly the same time.

        Args:
            now: seconds since the Unix epoch.
            num_at_once: trials that run at a time.
        """
        if self.first_epoch_at is None:
            return None
        at_least = self._seconds / self._cost / num_at_once
        return max(at_least, (now - self.first_epoch_at) / ((self._cost - self._first_cost) or self._first_cost))
