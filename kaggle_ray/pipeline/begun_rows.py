"""The rows of a run, in its folds, of the files as they are now: for what is made of it once it was begun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.staging import StagedData, stage_data
from kaggle_ray.images.datasets import open_target
from kaggle_ray.images.reading import as_read
from kaggle_ray.images.unreadable import without_unreadable
from kaggle_ray.pipeline.split import Split, split_rows
from kaggle_ray.rows import Rows
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.typed_json import from_json


@dataclass(frozen=True, kw_only=True, slots=True)
class BegunRows:
    """A run's competition, with the rows and the folds that it was begun with."""

    competition: Competition
    split: Split
    all_samples: Samples
    """All rows that the files have, those that the run leaves out, too."""
    staged: StagedData
    """The files on this machine: what is staged stays in the cache for as long as this is held."""

    def target(self) -> Rows:
        """Return (N,) or (N, T) what is predicted of all training rows."""
        return open_target(self.competition, self.split.samples, default_cache_dir())[0]


def begun_scheme(record: RunRecord) -> FoldScheme | None:
    """Return how the rows of a run were dealt, be it by a file or with another seed; None where it was not kept.

    Raises:
        JsonShapeError: what is kept is no scheme.
        FoldsError: a value of it is out of range.
    """
    kept = record.fold_scheme
    return None if kept is None else from_json(FoldScheme, kept, where=f"{record.run_id}: run.json: fold_scheme")


def open_begun_rows(store: RunStore, declared: Competition, data: str | Path) -> BegunRows:
    """Return the rows of a run.

    Args:
        store: of the run.
        declared: its competition, by code of one's own.
        data: folder or URI of the competition's files.

    Raises:
        DataError: files are missing or contradict each other.
        FoldsError: the files are not those that the run was begun with.
    """
    staged, cache_dir = stage_data(str(data), cache_dir=default_cache_dir()), default_cache_dir()
    competition, all_samples = open_competition(declared, staged.folder)
    competition = replace(competition, folds=begun_scheme(store.known_record()) or competition.folds)
    competition = as_read(competition, all_samples, cache_dir)
    unreadable = [staged.folder / name for name in store.unreadable()]
    samples = without_unreadable(competition, all_samples, unreadable, cache_dir)
    split = split_rows(competition, samples, store, find=False)
    return BegunRows(competition=competition, split=split, all_samples=all_samples, staged=staged)
