"""Folds that somebody has dealt: a team mate's, an earlier run's, or the competition's own."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.duplicate_groups import NearDuplicates
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import FoldsError
from kaggle_ray.types import NO_FOLD, TRAIN_ONLY, Folds, IntArray, StrArray
from kaggle_ray.untrusted import MAX_FOLDS

_FOLD = "fold"
_ID = "sample_id"


def with_folds_of(competition: Competition, samples: Samples, file: str | Path) -> tuple[Competition, Samples]:
    """Return both with the folds of a csv file, whatever scheme the competition declares.

    The file has a column ``fold`` and one of ids, named ``sample_id`` or as in the submission; others are passed over.
    A fold of -1 is trained on, and never scored.

    Raises:
        FoldsError: there is no such file, an id is unknown or comes twice, or a fold is no number from -1 on.
    """
    fold_by_id = _read(Path(file), ids=(_ID, competition.submission.id_column))
    known = set(samples.train_ids.tolist())
    if unknown := [sample_id for sample_id in fold_by_id if sample_id not in known]:
        raise FoldsError(
            f"{file}: {len(unknown)} of {counted(len(fold_by_id), 'id')} are none of the "
            f"{counted(len(known), 'training row')}, such as "
            f"{', '.join(unknown[:5])}."
        )
    folds = np.array([fold_by_id.get(sample_id, NO_FOLD) for sample_id in samples.train_ids.tolist()], dtype=np.int64)
    scheme = given_scheme(competition.folds, folds, samples.train_ids, where=str(file))
    return replace(competition, folds=scheme), replace(samples, folds=folds)


def with_fold_seed(competition: Competition, seed: int) -> Competition:
    """Return the competition with another seed of its folds.

    Raises:
        FoldsError: its folds have no seed: they are given, or follow each other in time; or the seed is out of range.
    """
    if (kind := competition.folds.kind) in ("given", "time"):
        raise FoldsError(
            f"--fold-seed {seed}: {competition.name} has folds of kind {kind!r}, which no seed deals. "
            f"{'Name another file of folds: --folds.' if kind == 'given' else 'Leave it out.'}"
        )
    return replace(competition, folds=replace(competition.folds, seed=seed))


def given_scheme(scheme: FoldScheme, folds: IntArray, ids: StrArray, *, where: str) -> FoldScheme:
    """Return the scheme of given folds: as many as there are; one alone, of rows that the others predict, is a holdout.

    Args:
        scheme: whose other values stay.
        folds: (N,) the fold of each row, TRAIN_ONLY, or NO_FOLD where none is given.
        ids: (N,) of the rows.
        where: names who gives them.

    Raises:
        FoldsError: the numbers are not 0, 1, ... without a gap.
    """
    if (wrong := (folds < NO_FOLD) | (folds >= MAX_FOLDS)).any():
        row = int(np.flatnonzero(wrong)[0])
        raise FoldsError(
            f"{where}: sample {str(ids[row])!r}: expected a fold of -1..{MAX_FOLDS - 1}, got {folds[row]}."
        )
    found = np.unique(folds[folds > TRAIN_ONLY]).tolist()
    if not found or found != list(range(len(found))):
        raise FoldsError(f"{where}: expected the folds 0, 1, ... without a gap, got {found}.")
    return replace(scheme, kind="given", num_folds=max(2, len(found)), seed=0, holdout=len(found) == 1)


def torn_groups(near_duplicates: NearDuplicates, folds: Folds) -> list[tuple[str, ...]]:
    """Return the training ids of the groups of near-duplicates that would have been kept together, and are not."""
    fold_by_id = dict(zip(folds.sample_ids.tolist(), folds.fold_of.tolist(), strict=True))
    merged = (group.train_ids for group in near_duplicates.groups if group.is_merged)
    return [ids for ids in merged if len({fold_by_id[each] for each in ids if each in fold_by_id}) > 1]


def _read(file: Path, *, ids: Sequence[str]) -> dict[str, int]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FoldsError(f"{file}: no folds can be read from it: {error}.") from error
    columns = list(rows[0]) if rows else []
    id_column = next((name for name in ids if name in columns), None)
    if id_column is None or _FOLD not in columns:
        raise FoldsError(
            f"{file}: expected a column {_FOLD!r} and one of ids, {' or '.join(map(repr, dict.fromkeys(ids)))}, got "
            f"{columns or 'no rows'}."
        )
    fold_by_id: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        sample_id, fold = row[id_column], row[_FOLD]
        if sample_id in fold_by_id:
            raise FoldsError(f"{file}: line {number}: the id {sample_id!r} comes a second time.")
        try:
            fold_by_id[sample_id] = int(fold)
        except (TypeError, ValueError):
            raise FoldsError(f"{file}: line {number}: expected a fold as a number, got {fold!r}.") from None
        if fold_by_id[sample_id] < TRAIN_ONLY:
            raise FoldsError(f"{file}: line {number}: expected a fold of at least -1, got {fold}.")
    return fold_by_id
