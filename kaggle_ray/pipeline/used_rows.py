"""The rows that a run uses: those of files that can be read, in folds. A fast-dev run uses a few of each fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds import folds_of
from kaggle_ray.data.further_metrics import with_metrics
from kaggle_ray.data.given_folds import with_fold_seed, with_folds_of
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.staging import StagedData, stage_data
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.reading import as_read
from kaggle_ray.images.unreadable import without_unreadable
from kaggle_ray.pipeline.fast_dev import one_epoch_of, rows_of_one_batch
from kaggle_ray.pipeline.left_out import LeftOut, left_out
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.split import Split, check_split, split_rows
from kaggle_ray.store.run import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedFiles:
    """A competition's files, and the rows that they have."""

    competition: Competition
    """The competition, with what the files and the options say of it."""
    samples: Samples
    data: str
    """The folder or URI that the user named."""
    staged: StagedData
    """Where the files are on this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UsedRows:
    """Rows in folds, and what is tried on them."""

    competition: Competition
    """The competition, with how the values of its images and masks are read."""
    split: Split
    left_out: LeftOut
    """Files that cannot be read."""
    hyperparameter_sets: Sequence[Hyperparameters]
    """The experiments, which a fast-dev run cuts with the rows."""
    only_ids: frozenset[str] | None = None
    """Ids of the samples that a fast-dev run is cut to; None is a real run."""


def open_files(declared: Competition, options: RunOptions) -> OpenedFiles:
    """Return a competition's rows as its files have them, on this machine.

    Raises:
        DataError: files are missing or contradict each other.
        FoldsError: the folds that were given are not those of its rows, or have no seed.
        ConfigError: folds and a seed of folds are given.
    """
    data = str(options.data or Path("data") / declared.name)
    data = data if "://" in data else str(Path(data).absolute())
    staged = stage_data(data, cache_dir=default_cache_dir())
    competition, samples = open_competition(declared, staged.folder)
    if options.fold_seed is not None:
        if options.folds is not None:
            raise ConfigError(
                "--fold-seed with --folds: the file says which row is in which fold. Leave one of them out."
            )
        competition = with_fold_seed(competition, options.fold_seed)
    if options.folds is not None:
        competition, samples = with_folds_of(competition, samples, options.folds)
    competition = with_metrics(competition, options.metrics or ())
    return OpenedFiles(competition=competition, samples=samples, data=data, staged=staged)


def used_rows(
    files: OpenedFiles,
    hyperparameter_sets: Sequence[Hyperparameters],
    options: RunOptions,
    started: RunStore | None,
) -> UsedRows:
    """Return the rows that a run uses, in the folds that it was begun with or in new ones.

    Args:
        files: of the competition.
        hyperparameter_sets: what is tried.
        options: of the run.
        started: the run, which may not be begun yet; None where it has no name before the folds are known.

    Raises:
        DataError: it cannot be told how images or masks are to be read.
        FoldsError: the rows cannot be assigned to folds, or are not those that the run was begun with.
        ConfigError: the run has results that were computed with files that are to be left out.
    """
    if options.fast_dev:
        return _few_rows(files, hyperparameter_sets, options)
    readable, unread = _readable(files, options, started)
    split = split_rows(
        readable.competition,
        readable.samples,
        None if unread.begins_anew else started,
        find=not options.ignore_near_duplicates,
    )
    check_split(readable.competition, split, hyperparameter_sets)
    return UsedRows(
        competition=readable.competition, split=split, left_out=unread, hyperparameter_sets=hyperparameter_sets
    )


def _few_rows(files: OpenedFiles, hyperparameter_sets: Sequence[Hyperparameters], options: RunOptions) -> UsedRows:
    """Return a batch of the rows of each fold of the whole competition, and one epoch of what is tried on them."""
    whole = split_rows(files.competition, files.samples, None, find=False)
    check_split(files.competition, whole, hyperparameter_sets)
    only_ids = rows_of_one_batch(files.samples, whole.folds, files.competition.heads, hyperparameter_sets)
    few = dataclasses.replace(files, samples=files.samples.with_ids(only_ids))
    readable, unread = _readable(few, options, None)
    folds = folds_of(whole.folds, readable.samples)
    return UsedRows(
        competition=readable.competition,
        split=dataclasses.replace(whole, samples=readable.samples, folds=folds),
        left_out=unread,
        hyperparameter_sets=one_epoch_of(hyperparameter_sets, folds),
        only_ids=only_ids,
    )


def _readable(files: OpenedFiles, options: RunOptions, started: RunStore | None) -> tuple[OpenedFiles, LeftOut]:
    """Return the files that can be read, and how; and which cannot."""
    folder, cache_dir = files.staged.folder, default_cache_dir()
    competition = as_read(files.competition, files.samples, cache_dir)
    unread = left_out(competition, files.samples, folder, started, skip=options.skip_unreadable)
    samples = without_unreadable(competition, files.samples, [folder / name for name in unread.reasons], cache_dir)
    return dataclasses.replace(files, competition=competition, samples=samples), unread
