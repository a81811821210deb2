"""Rounds as a run keeps them: what each one adds, runs and stops, in ``rounds/<number>.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kaggle_ray.schedule.policy import Verdict
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, Trial
from kaggle_ray.untrusted import Count, PathPart


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What one round does, as ``rounds/<number>.json`` has it."""

    number: Count
    proposed: tuple[PathPart, ...] = ()
    """Ids of the experiments that it adds."""
    trials: tuple[Trial, ...] = ()
    """Trials that have to end before the next round is decided; none in the last."""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """Experiment id -> what was made of it before the round began."""


def rounds_from_json(values: Sequence[Mapping[str, JsonValue]]) -> list[Round]:
    """Return the rounds that a store keeps, the first of them first."""
    return [from_json(Round, value, where=f"rounds/{number}.json") for number, value in enumerate(values)]


def stopped_in(rounds: Sequence[Round]) -> dict[str, str]:
    """Return experiment id -> why it was stopped, in one sentence."""
    return {
        each: verdict.text for of_round in rounds for each, verdict in of_round.verdicts.items() if verdict.is_stopped
    }


def difference(saved: Round, decided: Round) -> str:
    """Return the first part of two rounds that is not the same, in words."""
    for name in ("number", "proposed", "trials", "verdicts"):
        before, now = getattr(saved, name), getattr(decided, name)
        if before != now:
            return f"expected {name} {before}, got {now}"
    return "nothing"
