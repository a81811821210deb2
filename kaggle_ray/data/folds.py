"""The folds of a competition's rows: which fold scores which row, and which rows no fold scores.

Shape legend: N rows to train on, T to predict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from kaggle_ray.counted import counted
from kaggle_ray.data.assign_folds import FoldKind, assign_folds, stratified_by
from kaggle_ray.data.head import Head
from kaggle_ray.data.ids import check_unique
from kaggle_ray.data.samples import Samples
from kaggle_ray.deprecation import Renamed, renamed_keywords
from kaggle_ray.errors import DataError, FoldsError, suggest
from kaggle_ray.types import (
    NO_FOLD,
    TRAIN_ONLY,
    BoolArray,
    Float64Array,
    Folds,
    IntArray,
    StrArray,
    Target,
    short_digest,
)
from kaggle_ray.untrusted import MAX_FOLDS


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldScheme:
    """How a competition's rows are assigned to folds.

    >>> from kaggle_ray import FoldScheme
    >>> FoldScheme(kind="group", num_folds=4).num_folds
    4

    Raises:
        FoldsError: on creation, where a value is out of range.
    """

    kind: FoldKind = "stratified"
    """``stratified`` keeps the class frequencies in every fold, those of every label, or the quantiles of a number (of
    several heads those of the first, unless all have two classes); ``kfold`` only shuffles; ``multilabel`` is
    ``stratified`` by its older name of labels; ``group`` and ``stratified_group`` keep the rows of a group
    together, as do the others where the samples have groups; ``time`` scores each span of time by models of earlier
    ones; ``given`` takes the folds that the samples come with, or those of ``--folds``."""
    num_folds: int = 5
    seed: int = 0
    holdout: bool = False
    """Score the first fold only; the other folds' rows are trained on. Five times as fast, and as much less certain."""
    find_near_duplicates: bool = True
    """Look for near-duplicate images, and keep them in one fold; False for a competition that is meant to have them."""

    def __post_init__(self) -> None:
        """Check every value."""
        if self.kind not in get_args(FoldKind):
            raise FoldsError(f"there is no fold kind {self.kind!r}{suggest(self.kind, get_args(FoldKind))}")
        if not 2 <= self.num_folds <= MAX_FOLDS:
            raise FoldsError(f"num_folds: expected 2..{MAX_FOLDS}, got {self.num_folds}.")
        if not 0 <= self.seed < 2**32:
            raise FoldsError(f"the folds' seed: expected 0..2**32 - 1, got {self.seed}.")


FoldScheme.__init__ = renamed_keywords(  # type: ignore[method-assign]
    find_twins=Renamed(to="find_near_duplicates", removed_in="0.3")
)(FoldScheme.__init__)


def make_folds(
    scheme: FoldScheme, samples: Samples, *, heads: Sequence[Head], grouped_by: StrArray | None = None
) -> Folds:
    """Return the folds of a competition's rows; a row's fold does not depend on the order of the rows.

    Args:
        scheme: kind, number and seed of the folds.
        samples: the rows, their target in the form of ``canonical_target``.
        heads: what the target's columns are.
        grouped_by: (N,) the samples' groups, those that share near-duplicates merged: each goes to one fold. None is
            the samples' groups as they are.

    Raises:
        DataError: ids repeat, are in train and test, or the arrays differ in length.
        FoldsError: there are fewer scored rows than folds, a fold would miss a class, or a row that is only trained on
            belongs to a group that is scored, or is later than rows that are.
    """
    check_ids(samples)
    target, times = stratified_by(heads, samples.target), samples.times
    class_names = heads[0].classes if [head.task for head in heads] in (["binary"], ["multiclass"]) else ()
    by_id = np.argsort(samples.train_ids)
    scored = by_id[~samples.is_train_only[by_id]]
    if scheme.kind == "given":
        return folds_with(scheme, samples, _given(samples))
    _check_enough_rows(scheme.num_folds, target, scored, class_names)
    grouped_by = samples.groups if grouped_by is None else grouped_by
    _check_external(grouped_by, samples.is_train_only)
    fold_of = np.full(len(samples.train_ids), TRAIN_ONLY, dtype=np.int8)
    fold_of[scored] = assign_folds(
        scheme.kind,
        scheme.num_folds,
        scheme.seed,
        target=target[scored],
        groups=None if grouped_by is None else grouped_by[scored],
        times=None if times is None else times[scored],
    )
    if not scheme.holdout:
        _check_classes(scheme, fold_of, target, class_names)
    elif scheme.kind != "time":
        fold_of[fold_of != 0] = TRAIN_ONLY
    else:
        fold_of[fold_of >= 0] = np.where(fold_of[fold_of >= 0] == scheme.num_folds - 1, 0, TRAIN_ONLY)
    if scheme.kind == "time" and times is not None:
        _check_external_times(times, fold_of, samples.is_train_only)
    return folds_with(scheme, samples, fold_of)


def _given(samples: Samples) -> npt.NDArray[np.int8]:
    """Return (N,) the folds that the samples come with.

    Raises:
        FoldsError: a row that is to be scored has none, or a group is in several.
    """
    if samples.folds is None:
        raise FoldsError("folds of kind 'given': the samples have none. Let read() give them, or name a file: --folds.")
    if (missing := samples.train_ids[(samples.folds == NO_FOLD) & ~samples.is_train_only]).size:
        raise FoldsError(
            f"{missing.size} of {counted(len(samples.train_ids), 'training row')} are given no fold, such as "
            f"{', '.join(missing[:5].tolist())}. Give them one; -1 is trained on, and not scored."
        )
    fold_of = np.where(samples.is_train_only, TRAIN_ONLY, samples.folds).astype(np.int8)
    if samples.groups is not None:
        pairs = np.unique(np.stack([np.unique(samples.groups, return_inverse=True)[1], fold_of]), axis=1)
        groups, counts = np.unique(pairs[0], return_counts=True)
        if (counts > 1).any():
            torn = np.unique(samples.groups)[groups[counts > 1]]
            raise FoldsError(
                f"the given folds tear {torn.size} of {counted(groups.size, 'group')} apart, such as "
                f"{str(torn[0])!r}: models would be scored on what they were trained on. Give a group one fold, or "
                "leave Samples.groups out."
            )
    return fold_of


def folds_with(scheme: FoldScheme, samples: Samples, fold_of: npt.NDArray[np.int8]) -> Folds:
    """Return the folds of ``scheme`` in which row i has fold ``fold_of[i]`` (N,), in the order of the samples."""
    num_folds = 1 if scheme.holdout else scheme.num_folds
    return Folds(
        sample_ids=samples.train_ids,
        fold_of=fold_of,
        num_folds=num_folds,
        seed=scheme.seed,
        digest=folds_digest(samples, fold_of, num_folds=num_folds, seed=scheme.seed),
        forward=scheme.kind == "time",
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
    digest = folds_digest(samples, fold_of, num_folds=folds.num_folds, seed=folds.seed)
    return dataclasses.replace(folds, sample_ids=samples.train_ids, fold_of=fold_of, digest=digest)


def folds_digest(samples: Samples, fold_of: npt.NDArray[np.signedinteger[Any]], *, num_folds: int, seed: int) -> str:
    """Return 12 hex digits over all that makes two runs' scores comparable, whatever the order of the rows."""
    by_id = np.argsort(samples.train_ids)
    groups, times = samples.groups, samples.times
    return short_digest(
        {
            "sample_ids": samples.train_ids[by_id].tolist(),
            "fold_of": fold_of[by_id].tolist(),
            "num_folds": num_folds,
            "seed": seed,
            "labels": samples.target[by_id].tolist(),
            "test_ids": np.sort(samples.test_ids).tolist(),
            **({} if groups is None else {"groups": groups[by_id].tolist()}),
            **({} if times is None else {"times": times[by_id].tolist()}),
        }
    )


def check_ids(samples: Samples) -> None:
    """Raise DataError where ids repeat, are in train and test, or differ in number from the labels and marks."""
    ids = samples.train_ids
    lengths = {len(ids), len(samples.target), len(samples.is_train_only)}
    if len(lengths) != 1:
        raise DataError(f"ids, labels and train-only marks differ in number: {sorted(lengths)}.")
    check_unique(ids.tolist(), where="the training rows")
    check_unique(samples.test_ids.tolist(), where="the test rows")
    if both := np.intersect1d(ids, samples.test_ids).tolist():
        raise DataError(
            f"{counted(len(both), 'id is', 'ids are')} in train and in test, such as {both[:5]}. If they are "
            "different images, let the competition's read() give the training ids a prefix; if not, leave them out "
            "of train."
        )


def _check_external(groups: StrArray | None, is_train_only: BoolArray) -> None:
    """Raise FoldsError where a row that every fold trains on belongs to a group that some fold scores."""
    if groups is None:
        return
    if shared := np.intersect1d(groups[is_train_only], groups[~is_train_only]).tolist():
        raise FoldsError(
            f"{counted(len(shared), 'group has', 'groups have')} rows that are scored and rows that every fold trains "
            f"on, such as {shared[:5]}. Leave the train-only rows of those groups out, or let them be scored."
        )


def _check_external_times(times: Float64Array, fold_of: npt.NDArray[np.int8], is_train_only: BoolArray) -> None:
    """Raise FoldsError where a row that every fold trains on is later than rows that some fold scores."""
    if late := np.count_nonzero(is_train_only & (times >= times[fold_of == 0].min())):
        raise FoldsError(
            f"folds of kind 'time': {counted(int(late), 'train-only row is', 'train-only rows are')} not earlier than "
            "the first row that is scored, so that models would be trained on their future. Leave these rows out, or "
            "let them be scored."
        )


def _check_enough_rows(num_folds: int, target: Target, scored: IntArray, class_names: Sequence[str]) -> None:
    if len(scored) < num_folds:
        raise FoldsError(
            f"expected at least one scored row for each of {counted(num_folds, 'fold')}, got "
            f"{counted(len(scored), 'row')}."
        )
    if not class_names:
        return
    all_counts = np.bincount(target, minlength=len(class_names))
    scored_counts = np.bincount(target[scored], minlength=len(class_names))
    for name, num_rows, num_scored in zip(class_names, all_counts.tolist(), scored_counts.tolist(), strict=True):
        if not num_rows:
            raise FoldsError(f"class {name!r} has no training rows. Remove it from the classes, or find its rows.")
        if 0 < num_scored < num_folds:
            at_most = f"use at most {counted(num_scored, 'fold')}, or " if num_scored > 1 else ""
            advice = f"{at_most}mark all rows of the class train-only"
            raise FoldsError(
                f"class {name!r}: expected at least {counted(num_folds, 'scored row')}, one for each fold, got "
                f"{num_scored}. {advice[0].upper()}{advice[1:]}."
            )


def _check_classes(
    scheme: FoldScheme, fold_of: npt.NDArray[np.int8], target: Target, class_names: Sequence[str]
) -> None:
    """Raise FoldsError where a fold scores no row of a class that others score.

    With two folds or more, what every fold scores is in every fold's training rows too.
    """
    if not class_names or scheme.kind == "time":
        return
    scored_classes = np.unique(target[fold_of != TRAIN_ONLY])
    for fold in range(scheme.num_folds):
        missing = np.setdiff1d(scored_classes, target[fold_of == fold])
        if missing.size:
            raise FoldsError(
                f"fold {fold} scores no row of class {class_names[missing[0]]!r} with kind={scheme.kind!r}, "
                f"seed={scheme.seed}. Use kind='stratified', fewer folds or another seed."
            )
