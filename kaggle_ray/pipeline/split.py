"""Splits a run's rows into folds: once, near-duplicates together; a run that was begun keeps its folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kaggle_ray.combine.nested import parts_of
from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.duplicate_groups import NearDuplicates, merged_groups
from kaggle_ray.data.folds import make_folds
from kaggle_ray.data.folds_csv import folds_from_csv
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.scorable import InnerSplit, check_scorable
from kaggle_ray.errors import FoldsError
from kaggle_ray.images.duplicate_rows import look_for_near_duplicates
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Folds, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The rows that a run uses, and their folds."""

    samples: Samples
    folds: Folds
    near_duplicates: NearDuplicates = field(default_factory=NearDuplicates)
    num_decoded: int = 0
    """Images that had to be decoded to find the near-duplicates."""


def split_rows(competition: Competition, samples: Samples, started: RunStore | None, *, find: bool) -> Split:
    """Return the folds that a run was begun with, or new ones in which near-duplicates are together.

    Args:
        competition: with the names that its files tell.
        samples: its rows.
        started: the run, which may not be begun yet; None where it has no name before the folds are known.
        find: look for near-duplicates, if the competition does not say otherwise.

    Raises:
        DataError: images differ in their bits per channel.
        FoldsError: the rows cannot be assigned, or are not those that the run was begun with.
    """
    record = started.record() if started else None
    saved = started.folds_csv() if started else None
    if started is None or record is None or saved is None:
        return _new_folds(competition, samples, find=find and competition.folds.find_near_duplicates)
    near_duplicates = NearDuplicates.from_json(started.near_duplicates())
    samples = samples.without_train_ids(near_duplicates.left_out)
    folds = folds_from_csv(saved, competition.folds, samples, expected_digest=record.folds_digest)
    return Split(samples=samples, folds=folds, near_duplicates=near_duplicates)


def check_split(competition: Competition, split: Split, hyperparameter_sets: Sequence[Hyperparameters]) -> None:
    """Raise FoldsError where a metric cannot score what trials and ensemble will ask it to: see ``check_scorable``."""
    fits_by_metric = len(hyperparameter_sets) > 1 or competition.metric.decision != "none"
    check_scorable(
        competition,
        split.samples,
        split.folds,
        groups=merged_groups(split.near_duplicates, split.samples),
        inner_splits={
            InnerSplit(share=each.training.inner_share, seed=each.training.seed)
            for each in hyperparameter_sets
            if each.training.epoch_rule == "inner"
        },
        fitted_on=_parts_of_holdout(split) if fits_by_metric else {},
    )


def _parts_of_holdout(split: Split) -> dict[str, IntArray]:
    """Return the rows of a holdout that an ensemble is fitted on to score the others; other folds are whole there."""
    folds, scored = split.folds, split.folds.scored_rows()
    if folds.num_folds > 1:
        return {}
    part_of = parts_of(folds.fold_of[scored], split.samples.target[scored], forward=folds.forward)
    parts = np.unique(part_of).tolist() if not folds.forward else []
    return {f"the holdout without part {part} of {len(parts)}": scored[part_of != part] for part in parts}


def _new_folds(competition: Competition, samples: Samples, *, find: bool) -> Split:
    if not find:
        return Split(samples=samples, folds=make_folds(competition.folds, samples, heads=competition.heads))
    found = look_for_near_duplicates(competition, samples)
    near_duplicates, grouped_by = found.near_duplicates, found.groups
    kept = samples.without_train_ids(near_duplicates.left_out)
    if grouped_by is not None:
        grouped_by = grouped_by[np.isin(samples.train_ids, kept.train_ids)]
    try:
        folds = make_folds(competition.folds, kept, heads=competition.heads, grouped_by=grouped_by)
    except FoldsError as error:
        if grouped_by is None:
            raise
        raise FoldsError(
            f"{error} The images have near-duplicates: {near_duplicates.summary()}. "
            f"--ignore-near-duplicates lets each row go to a fold by itself."
        ) from error
    return Split(samples=kept, folds=folds, near_duplicates=near_duplicates, num_decoded=found.num_decoded)
