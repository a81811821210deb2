"""Some of a competition's rows, with all that belongs to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Set

import numpy as np

from kaggle_ray.data.competition import Samples
from kaggle_ray.data.folds import folds_digest
from kaggle_ray.data.table import Table
from kaggle_ray.errors import FoldsError
from kaggle_ray.types import BoolArray, Folds, StrArray


def samples_with(samples: Samples, ids: Set[str]) -> Samples:
    """Return the training and test rows whose ids are among ``ids``, in their order."""
    of_test = _is_among(samples.test_ids, ids)
    return dataclasses.replace(
        train_rows_of(samples, _is_among(samples.train_ids, ids)),
        test_ids=samples.test_ids[of_test],
        test_paths=tuple(samples.test_paths[row] for row in np.flatnonzero(of_test).tolist()),
        test_table=_rows_of(samples.test_table, of_test),
    )


def train_rows_of(samples: Samples, keep: BoolArray) -> Samples:
    """Return the training rows where ``keep`` (N,) is True, and all test rows."""
    kept, masks = np.flatnonzero(keep).tolist(), samples.train_masks
    return dataclasses.replace(
        samples,
        train_ids=samples.train_ids[keep],
        train_paths=tuple(samples.train_paths[row] for row in kept),
        target=samples.target[keep],
        train_masks=None if masks is None else tuple(masks[row] for row in kept),
        train_table=_rows_of(samples.train_table, keep),
        train_only=None if samples.train_only is None else samples.train_only[keep],
        groups=None if samples.groups is None else samples.groups[keep],
        times=None if samples.times is None else samples.times[keep],
    )


def folds_of(folds: Folds, samples: Samples) -> Folds:
    """Return the folds of the rows that are left in ``samples``: no row changes its fold.

    Raises:
        FoldsError: a fold has no row left to score.
    """
    fold_by_id = dict(zip(folds.sample_ids.tolist(), folds.fold_of.tolist(), strict=True))
    fold_of = np.array([fold_by_id[sample_id] for sample_id in samples.train_ids.tolist()], dtype=np.int8)
    if missing := sorted(set(range(folds.num_folds)) - set(fold_of.tolist())):
        raise FoldsError(f"fold {missing[0]}: expected rows to score, got none of {len(fold_of)} that are left.")
    digest = folds_digest(
        sample_ids=samples.train_ids,
        fold_of=fold_of,
        num_folds=folds.num_folds,
        seed=folds.seed,
        target=samples.target,
        test_ids=samples.test_ids,
        groups=samples.groups,
        times=samples.times,
    )
    return dataclasses.replace(folds, sample_ids=samples.train_ids, fold_of=fold_of, digest=digest)


def _is_among(sample_ids: StrArray, ids: Set[str]) -> BoolArray:
    return np.array([sample_id in ids for sample_id in sample_ids.tolist()], dtype=np.bool_)


def _rows_of(table: Table | None, keep: BoolArray) -> Table | None:
    return None if table is None else Table(columns=table.columns, values=table.values[keep])
