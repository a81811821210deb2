"""Assigns rows to folds: one function for each kind of scheme.

Shape legend: N rows, L labels, K folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head, class_columns
from kaggle_ray.errors import FoldsError
from kaggle_ray.types import Float64Array, IntArray, StrArray, Target

FoldKind = Literal["stratified", "kfold", "group", "stratified_group", "multilabel", "time", "given"]
FoldOf = npt.NDArray[np.int8]

_MOSTLY_ALONE = 0.9
"""Groups per row above which most rows are a group of their own, as where only near-duplicates are kept together."""

_NUM_BINS = 10
"""Most quantiles by which rows are stratified whose target is a number."""


def assign_folds(
    kind: FoldKind, num_folds: int, seed: int, *, target: Target, groups: StrArray | None, times: Float64Array | None
) -> FoldOf:
    """Return (N,) the fold of each row, 0..num_folds-1.

    Args:
        kind: see FoldScheme.
        num_folds: K.
        seed: shuffles.
        target: (N,) or (N, L) classes or labels, integers, or (N,) numbers, floats; see ``stratified_by``.
        groups: (N,) rows of one group go to one fold; None is none.
        times: (N,) for kind time.

    Raises:
        FoldsError: groups or times are needed and missing, or there are fewer groups than folds.
    """
    if kind == "time":
        return assign_by_time(num_folds, times)
    if kind in ("group", "stratified_group") and groups is None:
        raise FoldsError(f"folds of kind {kind!r}: the competition's samples have no groups. Let read() give them.")
    if kind in ("stratified", "stratified_group") and _are_labels(target):
        kind = "multilabel"
    if groups is not None:
        return _assign_groups(kind, num_folds, seed, target, groups)
    if kind == "multilabel" and target.ndim == 2:
        return assign_by_labels(target, num_folds, np.random.default_rng(seed))
    return _split(kind != "kfold", num_folds, seed, strata_of(target, num_folds))


def stratified_by(heads: Sequence[Head], target: Target) -> Target:
    """Return what rows are stratified by: (N, L) classes and labels as integers, or (N,) numbers where there are none.

    Args:
        heads: what is predicted.
        target: (N,) or (N, T), in the form of ``canonical_target``.
    """
    classes = class_columns(heads, target)
    if classes is not None:
        return classes if len(heads) > 1 or heads[0].task == "multilabel" else classes[:, 0]
    return (target if target.ndim == 1 else target[:, 0]).astype(np.float64)


def _are_labels(target: Target) -> bool:
    """Return whether a target is labels, or several heads' classes of two: all of its columns are stratified by."""
    return target.ndim == 2 and target.shape[1] > 1 and target.dtype.kind != "f" and bool(np.isin(target, (0, 1)).all())


def strata_of(target: Target, num_folds: int) -> IntArray:
    """Return (N,) the stratum of each row: its class, that of the first column, or the quantile of its number.

    A stratum of numbers has at least as many rows as there are folds. Few different numbers, such as grades, are a
    stratum each where each has as many rows.
    """
    column = target if target.ndim == 1 else target[:, 0]
    values, value_of, counts = np.unique(column, return_inverse=True, return_counts=True)
    is_of_numbers = column.dtype.kind == "f"
    if not is_of_numbers or (len(values) <= _NUM_BINS and counts.min() >= num_folds):
        return value_of.astype(np.int64)
    for num_bins in range(_NUM_BINS, 1, -1):
        edges = np.unique(np.quantile(column, np.linspace(0, 1, num_bins + 1)[1:-1]))
        strata = np.searchsorted(edges, column, side="right").astype(np.int64)
        if np.unique(strata, return_counts=True)[1].min() >= num_folds:
            return strata
    return np.zeros(len(column), dtype=np.int64)


def _split(stratified: bool, num_folds: int, seed: int, strata: IntArray) -> FoldOf:
    from sklearn.model_selection import KFold, StratifiedKFold

    stratified = stratified and np.bincount(strata).max() >= num_folds  # scikit-learn refuses what has no such stratum
    splitter = (StratifiedKFold if stratified else KFold)(num_folds, shuffle=True, random_state=seed)
    fold_of = np.empty(len(strata), dtype=np.int8)
    for fold, (_, rows) in enumerate(splitter.split(np.zeros(len(strata)), strata)):
        fold_of[rows] = fold
    return fold_of


def _assign_groups(kind: FoldKind, num_folds: int, seed: int, target: Target, groups: StrArray) -> FoldOf:
    """Assign whole groups; those of multi-label rows by the labels that the group has."""
    names, first_of, group_of = np.unique(groups, return_index=True, return_inverse=True)
    if len(names) < num_folds:
        raise FoldsError(
            f"expected at least one group for each of {counted(num_folds, 'fold')}, got {counted(len(names), 'group')}."
        )
    if len(names) > _MOSTLY_ALONE * len(groups) and kind != "multilabel":  # a group counts as one row of its class
        of_groups = strata_of(target, num_folds)[first_of]
        return _split(kind not in ("kfold", "group"), num_folds, seed, of_groups)[group_of]
    if kind == "multilabel" and target.ndim == 2:
        labels = np.zeros((len(names), target.shape[1]), dtype=np.int64)
        np.maximum.at(labels, group_of, target)
        return assign_by_labels(labels, num_folds, np.random.default_rng(seed))[group_of]
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    strata = strata_of(target, num_folds)
    can_stratify = np.bincount(strata).max() >= num_folds
    splitter = (GroupKFold if kind in ("kfold", "group") or not can_stratify else StratifiedGroupKFold)(
        num_folds, shuffle=True, random_state=seed
    )
    fold_of = np.empty(len(groups), dtype=np.int8)
    for fold, (_, rows) in enumerate(splitter.split(np.zeros(len(groups)), strata, group_of)):
        fold_of[rows] = fold
    return fold_of


def assign_by_labels(labels: Target, num_folds: int, rng: np.random.Generator) -> FoldOf:
    """Return (N,) folds in which every label is as frequent as in all rows: the rarest label is assigned first.

    Rows with the same labels are interchangeable, so whole sets of them are assigned at once, and what is left of a set
    goes to the folds that lack its rarest label most, then rows most.

    Args:
        labels: (N, L) 0 or 1.
        num_folds: K.
        rng: breaks ties.

    Source: Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011.
    """
    num_rows = len(labels)
    sets, set_of = np.unique(labels, axis=0, return_inverse=True)
    rows_of = [rng.permutation(rows) for rows in np.split(np.argsort(set_of, kind="stable"), _edges(set_of, len(sets)))]
    counts = labels.sum(axis=0)
    wanted = np.tile(counts / num_folds, (num_folds, 1))  # (K, L) rows of each label that a fold still lacks
    room = np.full(num_folds, num_rows / num_folds)
    fold_of = np.empty(num_rows, dtype=np.int8)
    rarity = np.where(sets > 0, np.where(counts > 0, counts, num_rows), num_rows + 1)
    # Sets with the rarest labels first; of those, the smaller set first, while there is still room to make up for it.
    for number in np.lexsort(([len(rows) for rows in rows_of], rarity.min(axis=1))).tolist():
        has = np.flatnonzero(sets[number])
        by_rarity = has[np.argsort(counts[has], kind="stable")]
        rows = rows_of[number]
        each, left = divmod(len(rows), num_folds)
        quota = np.full(num_folds, each)
        wanted[:, has] -= each
        room -= each
        for _ in range(left):
            keys = [rng.random(num_folds), -room, *(-wanted[:, label] for label in reversed(by_rarity.tolist()))]
            keys[2:] = [np.round(key, 6) for key in keys[2:]]
            fold = int(np.lexsort(keys)[0])
            quota[fold] += 1
            wanted[fold, has] -= 1
            room[fold] -= 1
        fold_of[rows] = np.repeat(np.arange(num_folds), quota)
    return fold_of


def _edges(set_of: IntArray, num_sets: int) -> IntArray:
    return np.cumsum(np.bincount(set_of, minlength=num_sets))[:-1]


def assign_by_time(num_folds: int, times: Float64Array | None) -> FoldOf:
    """Return (N,) folds in the order of time: the earliest of K + 1 equal spans is trained on only, and is -1.

    Rows of one moment are not torn apart.

    Raises:
        FoldsError: times are missing, NaN, or of too few moments.
    """
    if times is None:
        raise FoldsError("folds of kind 'time': the competition's samples have no times. Let read() give them.")
    if not np.isfinite(times).all():
        num_without = int(np.count_nonzero(~np.isfinite(times)))
        raise FoldsError(f"folds of kind 'time': {counted(num_without, 'row has', 'rows have')} no time.")
    cuts = np.quantile(times, np.linspace(0, 1, num_folds + 2)[1:-1], method="higher")
    fold_of = np.searchsorted(cuts, times, side="right").astype(np.int8) - 1
    if len(np.unique(fold_of)) != num_folds + 1:
        raise FoldsError(f"folds of kind 'time': too few moments for {counted(num_folds, 'fold')} and an earlier span.")
    return fold_of.astype(np.int8)
