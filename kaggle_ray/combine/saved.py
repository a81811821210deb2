"""ensemble.json as a type: what a run kept of an ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kaggle_ray.combine.combiner import COMBINERS, Fitted
from kaggle_ray.decide import Decision, default_decision
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import Metric
from kaggle_ray.pool.members import Member
from kaggle_ray.store.run import RunStore
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue
from kaggle_ray.untrusted import Count


@dataclass(frozen=True, kw_only=True, slots=True)
class BestExperiment:
    """The experiment that scores best by itself, and what choosing it is worth."""

    name: str
    score: float
    """Honest: each part of the rows is scored by the experiment that is best on the others. The best one's own score is
    the best of many, and so looks better than it is."""
    num_candidates: int
    """Experiments that it was chosen among: all that have an honest score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedEnsemble:
    """What ensemble.json says."""

    method: str
    """Name of the combiner that was asked for; ``auto`` where one was to be chosen."""
    chosen: bool
    """Whether the submission is its own."""
    weights: Mapping[str, float]
    """Member id -> weight, of those that have some."""
    decision: Mapping[str, JsonValue]
    """The decision, as ``Decision.to_json`` writes it."""
    score_honest: float | None
    score_in_sample: float | None
    """Score on the rows that it was fitted on; None without an honest score."""
    score_full_size: float | None
    """Score of masks at the size of the originals; None for all but the chosen ensemble of masks."""
    members: tuple[Member, ...]
    """All that it was chosen from."""
    scores: Mapping[str, float | None]
    """Member or experiment id -> its own honest score."""
    best_experiment: BestExperiment | None = None
    """Best experiment by itself; None where none has an honest score, or the run is of before it was kept."""
    why_no_score: str | None = None
    """Why it has no honest score, in one line."""
    unproven: tuple[str, ...] = ()
    """Members whose weights the scored rows had a say in."""
    confusion: tuple[tuple[Count, ...], ...] | None = None
    """Counts of truth x answer; None where a row has not one class of several, or without an honest score."""
    fitted: Mapping[str, JsonValue] | None = None
    """What the combiner learnt, as ``Fitted.to_json`` gives it; None in a run of before combiners could be registered,
    which has weights alone."""
    combiner: str | None = None
    """Name of the combiner that it is; None in a run of before one could be chosen, where it is the method."""
    standard_error: float | None = None
    """Standard error of the honest score; None where it is not known, or the run is of before it was kept."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """What ensembling had no time for within the run's limit -> why, in a few words."""

    @property
    def name(self) -> str:
        """What a person calls it: the method, and where that chooses, what it chose."""
        return self.method if self.combiner in (None, self.method) else f"{self.method}: {self.combiner}"

    @property
    def weighted_members(self) -> tuple[Member, ...]:
        """The members that have weight."""
        return tuple(member for member in self.members if member.member_id in self.weights)

    def combine(self) -> Fitted:
        """Return what its combiner learnt.

        Raises:
            ConfigError: no combiner of its name is registered.
        """
        value: Mapping[str, JsonValue] = {"weights": self.weights} if self.fitted is None else self.fitted
        name = self.combiner or self.method
        if name not in COMBINERS:
            raise ConfigError(
                f"ensemble {name!r}: no combiner of this name is known here. Import the file that registers it, or "
                f"name the competition whose file does."
            )
        return COMBINERS[name]().from_json(value)

    def decide(self, metric: Metric, num_columns: int) -> Decision:
        """Return the rule that turns its predictions into answers.

        Where none was kept, it is the metric's own: a run may be of before rules that are not fitted had names.
        """
        decision = Decision.from_json(self.decision)
        return default_decision(metric, num_columns) if decision.kind == "none" else decision


def saved_ensembles(store: RunStore) -> tuple[SavedEnsemble, ...]:
    """Return what a run kept of its ensembles, by the names of their combiners; none before they were made."""
    found = ((name, store.ensemble(name)) for name in store.ensemble_names())
    return tuple(
        from_json(SavedEnsemble, value, where=f"{store.location}/ensembles/{name}/ensemble.json")
        for name, value in found
        if value is not None
    )


def chosen_ensemble(store: RunStore) -> SavedEnsemble | None:
    """Return the ensemble that a run's submission is made of, None before there is one."""
    return next((ensemble for ensemble in saved_ensembles(store) if ensemble.chosen), None)
