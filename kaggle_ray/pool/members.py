"""The members of an ensemble: what of a run's trials is averaged before anything is weighted.

A plain experiment is one member. Experiments that differ in their seed alone are one together: their mean. The ends of
the cycles of a snapshot schedule are members of their own, and where the epoch is chosen by the other folds, each fold
has its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from kaggle_ray.counted import counted
from kaggle_ray.store.attempt import kept_epochs
from kaggle_ray.types import FULL_DATA, Experiment, JsonValue, Trial, TrialResult, short_digest
from kaggle_ray.untrusted import Count, PathPart


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberPart:
    """Predictions of one experiment, of the same kind in every fold."""

    experiment_id: PathPart
    epochs: tuple[Count | None, ...]
    """(K,) epochs whose predictions were kept, one for each fold; None: those of the trial's end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """The mean of its parts."""

    member_id: PathPart
    name: str
    """What a person calls it."""
    parts: tuple[MemberPart, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Return the member as JSON."""
        parts = [{"experiment_id": part.experiment_id, "epochs": list(part.epochs)} for part in self.parts]
        return {"member_id": self.member_id, "name": self.name, "parts": parts}


def members_of(
    experiments: Sequence[Experiment],
    results: Mapping[str, Sequence[TrialResult]],
    *,
    greater_is_better: bool,
    forward: bool = False,
) -> tuple[Member, ...]:
    """Return the members of a run, in the order of their first experiments.

    Args:
        experiments: of the run.
        results: experiment id -> (K,) the committed results of its folds; experiments without an entry are left out.
        greater_is_better: of the metric, by which epochs are chosen.
        forward: whether folds follow each other in time.
    """
    groups: dict[tuple[str, int | None], list[tuple[Experiment, MemberPart]]] = {}
    for experiment in experiments:
        if experiment.experiment_id in results:
            of_folds = results[experiment.experiment_id]
            for snapshot, part in _parts_of(experiment, of_folds, greater_is_better, forward):
                groups.setdefault((without_seed(experiment), snapshot), []).append((experiment, part))
    return tuple(_member(digest, snapshot, found) for (digest, snapshot), found in groups.items())


def models_of(members: Sequence[Member], experiments: Sequence[Experiment]) -> dict[Trial, set[int | None]]:
    """Return the models that members and their ancestors consist of: trial -> epochs, None for the trial's end.

    Args:
        members: with weight somewhere.
        experiments: of the run.
    """
    models: dict[Trial, set[int | None]] = {}
    needs = {experiment.experiment_id: experiment.needs for experiment in experiments}
    for part in (part for member in members for part in member.parts):
        for fold, epoch in enumerate(part.epochs):
            models.setdefault(Trial(experiment_id=part.experiment_id, fold=fold), set()).add(epoch)
            ancestors = list(needs[part.experiment_id])
            while ancestors:
                ancestor = ancestors.pop()
                models.setdefault(Trial(experiment_id=ancestor, fold=fold), set()).add(None)
                ancestors += needs[ancestor]
    return models


def full_model(part: MemberPart, experiment: Experiment) -> tuple[Trial, int | None]:
    """Return the trial of all rows that takes the place of a part's folds, and which of its epochs predicts.

    A snapshot stays one; an epoch that was chosen is the trial's end, since it was trained for just so many.
    """
    is_chosen = experiment.hyperparameters.get("epoch_rule") == "other_folds"
    return Trial(experiment_id=part.experiment_id, fold=FULL_DATA), None if is_chosen else part.epochs[0]


def alone(member: Member, experiment: Experiment) -> Member:
    """Return what one experiment of a member that is a mean over seeds predicts by itself."""
    part = next(part for part in member.parts if part.experiment_id == experiment.experiment_id)
    return Member(member_id=experiment.experiment_id, name=experiment.name, parts=(part,))


def best_epoch_of_others(
    curves: Sequence[Mapping[int, float]], fold: int, *, greater_is_better: bool, forward: bool = False
) -> int | None:
    """Return the epoch with the best mean score over the other folds, the first of equals; None without other folds.

    Args:
        curves: (K,) epoch -> score of each fold's evaluated epochs.
        fold: whose rows must have no say.
        greater_is_better: of the score.
        forward: whether folds follow each other in time, so that later ones must have no say either.
    """
    others = curves[:fold] if forward else [*curves[:fold], *curves[fold + 1 :]]
    if not others:
        return None
    common = sorted(set.intersection(*(set(curve) for curve in curves)))
    means = {epoch: fmean(curve[epoch] for curve in others) for epoch in common}
    return (max if greater_is_better else min)(common, key=means.__getitem__)


def _parts_of(
    experiment: Experiment, results: Sequence[TrialResult], greater_is_better: bool, forward: bool
) -> list[tuple[int | None, MemberPart]]:
    """Return what an experiment contributes: under None its own predictions, under an epoch those kept of it."""
    experiment_id, num_folds = experiment.experiment_id, len(results)
    if experiment.hyperparameters.get("epoch_rule") == "other_folds":
        curves = [{m.epoch: m.score for m in result.history if math.isfinite(m.score)} for result in results]
        last = max(curves[0])
        chosen = [
            best_epoch_of_others(curves, fold, greater_is_better=greater_is_better, forward=forward)
            for fold in range(num_folds)
        ]
        epochs = tuple(None if epoch == last else epoch for epoch in chosen)
        return [(None, MemberPart(experiment_id=experiment_id, epochs=epochs))]
    snapshots = sorted(set.intersection(*(set(kept_epochs(result)) for result in results)))
    return [
        (epoch, MemberPart(experiment_id=experiment_id, epochs=(epoch,) * num_folds)) for epoch in (None, *snapshots)
    ]


def without_seed(experiment: Experiment) -> str:
    """Return 12 hex digits over an experiment's hyperparameters but its seed."""
    values = {name: value for name, value in experiment.hyperparameters.items() if name != "seed"}
    return short_digest(values)


def _member(digest: str, snapshot: int | None, found: Sequence[tuple[Experiment, MemberPart]]) -> Member:
    first, *more = (experiment for experiment, _ in found)
    at_epoch = "" if snapshot is None else f"@{snapshot}"
    name = first.name
    if more:
        words = [word for word in name.split(" ") if not word.startswith("seed=")]
        name = f"{' '.join(words)} (mean of {counted(len(found), 'seed')})"
    return Member(
        member_id=(f"{digest}-seeds" if more else first.experiment_id) + at_epoch,
        name=name if snapshot is None else f"{name} at epoch {snapshot}",
        parts=tuple(part for _, part in found),
    )
