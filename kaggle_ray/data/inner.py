"""The inner split: rows of a fold's training part that are held out from training, to choose an epoch by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.assign_folds import FoldKind, assign_folds, strata_of, stratified_by
from kaggle_ray.data.head import Head
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import FoldsError
from kaggle_ray.types import IntArray, StrArray


def inner_split(
    kind: FoldKind,
    samples: Samples,
    train_rows: IntArray,
    *,
    share: float,
    seed: int,
    groups: StrArray | None,
    heads: Sequence[Head],
) -> tuple[IntArray, IntArray]:
    """Return the rows to train on and the inner rows, both ascending; they are split as folds are.

    Groups stay together, classes keep their frequencies where each has rows enough, and the inner rows of folds by time
    are the latest.

    Args:
        kind: of the competition's folds.
        samples: all rows.
        train_rows: (n,) positions of the rows that the fold may train on.
        share: of the rows to hold out, above 0 and below 1; it becomes one of a whole number of parts, 2 at least.
        seed: shuffles.
        groups: (N,) rows that belong together, near-duplicates among them; None is none.
        heads: what the target's columns are.

    Raises:
        FoldsError: there are too few rows or groups to split.
    """
    num_parts = max(2, round(1 / share))
    if len(train_rows) < num_parts:
        raise FoldsError(
            f"an inner split of {share:g} needs at least {counted(num_parts, 'training row')}, got {len(train_rows)}."
        )
    of_rows = stratified_by(heads, samples.target[train_rows])
    if kind == "given":
        kind = "multilabel" if of_rows.ndim == 2 else "stratified"
    if kind == "stratified" and np.bincount(strata_of(of_rows, num_parts)).min() < num_parts:
        kind = "kfold"
    part_of = assign_folds(
        kind,
        num_parts,
        seed,
        target=of_rows,
        groups=None if groups is None else groups[train_rows],
        times=None if samples.times is None else samples.times[train_rows],
    )
    is_inner = part_of == (num_parts - 1 if kind == "time" else 0)
    return train_rows[~is_inner], train_rows[is_inner]
