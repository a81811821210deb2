"""Deals a run's rows to folds: once, with near-duplicates together; a run that was begun keeps its folds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.data.competition import Competition, Samples
from kaggle_ray.data.folds import folds_from_csv, make_folds
from kaggle_ray.data.head import class_columns
from kaggle_ray.data.quarantine import without_rows
from kaggle_ray.data.twin_groups import Twins, group_twins
from kaggle_ray.errors import FoldsError
from kaggle_ray.images.twins import find_twins
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Folds, StrArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Dealt:
    """The rows that a run uses, and their folds."""

    samples: Samples
    folds: Folds
    twins: Twins = field(default_factory=Twins)
    num_decoded: int = 0
    """Images that had to be decoded to find the near-duplicates."""


def deal_rows(competition: Competition, samples: Samples, started: RunStore | None, *, find: bool) -> Dealt:
    """Return the folds that a run was begun with, or new ones in which near-duplicates are together.

    Args:
        competition: with the names that its files tell.
        samples: its rows.
        started: the run, which may not be begun yet; None where it has no name before the folds are known.
        find: look for near-duplicates, if the competition does not say otherwise.

    Raises:
        DataError: images differ in their bits per channel.
        FoldsError: the rows cannot be dealt, or are not those that the run was begun with.
    """
    record = started.record() if started else None
    saved = started.folds_csv() if started else None
    if started is None or record is None or saved is None:
        return _new_folds(competition, samples, find=find and competition.folds.find_twins)
    twins = Twins.from_json(started.twins())
    samples = without_rows(samples, twins.left_out)
    folds = folds_from_csv(
        saved,
        expected_digest=record["folds_digest"],
        scheme=competition.folds,
        sample_ids=samples.train_ids,
        target=samples.target,
        train_only=samples.train_only,
        test_ids=samples.test_ids,
        groups=samples.groups,
        times=samples.times,
    )
    return Dealt(samples=samples, folds=folds, twins=twins)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTwins:
    """The near-duplicates of a competition's rows."""

    twins: Twins
    groups: StrArray | None
    """(N,) what to deal the rows by; None where it is what was declared."""
    num_decoded: int


def look_for_twins(competition: Competition, samples: Samples) -> FoundTwins:
    """Return the near-duplicates among the rows, and the groups that come of them."""
    found = find_twins(samples, channels=competition.channels, cache_dir=default_cache_dir())
    twins, groups = group_twins(
        found.pairs,
        sample_ids=samples.train_ids,
        test_ids=samples.test_ids,
        train_only=samples.train_only,
        groups=samples.groups,
        labels=class_columns(competition.heads, samples.target),
        num_folds=competition.folds.num_folds,
        ordered=competition.folds.kind == "time",
    )
    return FoundTwins(twins=twins, groups=groups, num_decoded=found.num_decoded)


def _new_folds(competition: Competition, samples: Samples, *, find: bool) -> Dealt:
    if not find:
        return Dealt(samples=samples, folds=_made_folds(competition, samples, twins=None))
    found = look_for_twins(competition, samples)
    twins, dealt_by = found.twins, found.groups
    kept = without_rows(samples, twins.left_out)
    if dealt_by is not None:
        dealt_by = dealt_by[np.isin(samples.train_ids, kept.train_ids)]
    try:
        folds = _made_folds(competition, kept, twins=dealt_by)
    except FoldsError as error:
        if dealt_by is None:
            raise
        raise FoldsError(
            f"{error} The images have near-duplicates: {twins.summary()}. --ignore-twins deals them one by one."
        ) from error
    return Dealt(samples=kept, folds=folds, twins=twins, num_decoded=found.num_decoded)


def _made_folds(competition: Competition, samples: Samples, *, twins: StrArray | None) -> Folds:
    return make_folds(
        competition.folds,
        sample_ids=samples.train_ids,
        target=samples.target,
        train_only=samples.train_only,
        test_ids=samples.test_ids,
        class_names=competition.classes,
        groups=samples.groups,
        times=samples.times,
        twins=twins,
    )
