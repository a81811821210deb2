"""Repeated folds: runs of the same rows that are dealt to folds otherwise, each held to the folds that it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.errors import FoldsError
from kaggle_ray.pipeline.begun_rows import open_begun_rows
from kaggle_ray.pipeline.split import Split
from kaggle_ray.share.sources import OwnedRun


def repetitions_of(runs: Sequence[OwnedRun], declared: Competition, data: str | Path, own: Split) -> dict[str, Split]:
    """Return the place of each run that has other folds than ``own`` -> its rows in its own folds.

    Args:
        runs: of the competition.
        declared: the competition, by code of one's own.
        data: folder or URI of its files.
        own: the rows and folds by which all of them are scored.

    Raises:
        DataError: files are missing or contradict each other.
        FoldsError: the files are not those that a run was begun with; it scores other rows than ``own``; or folds
            follow each other in time, so that other ones are another question.
    """
    found: dict[str, Split] = {}
    for run in runs:
        if run.store.known_record().folds_digest == own.folds.digest:
            continue
        split = open_begun_rows(run.store, declared, data).split
        if own.folds.forward or split.folds.forward:
            raise FoldsError(f"{run.store.location}: --repeated-folds: folds by time are dealt in one way alone.")
        mine, others = (each.folds.sample_ids[each.folds.scored_rows()] for each in (own, split))
        if (differing := np.setxor1d(mine, others)).size:
            raise FoldsError(
                f"{run.store.location}: --repeated-folds: expected the {counted(len(mine), 'row')} that your run "
                f"scores, got {len(others)}; one of them has {str(differing[0])!r}, and the other has not. Repeat the "
                f"folds of the same rows; a holdout has no repetition."
            )
        found[run.store.location] = split
    return found
