"""Which fold scores which row: made once per run, saved as folds.csv and held to the data on every resume."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from kaggle_ray.data.assign_folds import FoldKind, assign_folds
from kaggle_ray.data.files import check_unique
from kaggle_ray.errors import DataError, FoldsError, suggest
from kaggle_ray.types import TRAIN_ONLY, BoolArray, Float64Array, Folds, IntArray, StrArray, Target, short_digest

_MAX_FOLDS = 127
"""A row's fold is kept as int8."""
_CSV_HEADER = ["sample_id", "fold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldScheme:
    """How a competition's rows are assigned to folds.

    Raises:
        FoldsError: on creation, where a value is out of range.
    """

    kind: FoldKind = "stratified"
    """``stratified`` keeps the class frequencies in every fold, or the quantiles of a number; ``kfold`` only shuffles;
    ``multilabel`` keeps the frequency of every label; ``group`` and ``stratified_group`` keep the rows of a group
    together, as do the others where the samples have groups; ``time`` scores each span of time by models of earlier
    ones."""
    num_folds: int = 5
    seed: int = 0
    holdout: bool = False
    """Score the first fold only; the other folds' rows are trained on. Five times as fast, and as much less certain."""
    find_near_duplicates: bool = True
    """Look for near-duplicate images, and assign them together; False for a competition that is meant to have them."""

    def __post_init__(self) -> None:
        """Check every value."""
        if self.kind not in get_args(FoldKind):
            raise FoldsError(f"there is no fold kind {self.kind!r}{suggest(self.kind, get_args(FoldKind))}")
        if not 2 <= self.num_folds <= _MAX_FOLDS:
            raise FoldsError(f"num_folds: expected 2..{_MAX_FOLDS}, got {self.num_folds}.")
        if not 0 <= self.seed < 2**32:
            raise FoldsError(f"the folds' seed: expected 0..2**32 - 1, got {self.seed}.")


def make_folds(
    scheme: FoldScheme,
    *,
    sample_ids: StrArray,
    target: Target,
    train_only: BoolArray | None,
    test_ids: StrArray,
    class_names: Sequence[str],
    groups: StrArray | None = None,
    times: Float64Array | None = None,
    near_duplicates: StrArray | None = None,
) -> Folds:
    """Return the folds of a competition's rows; a row's fold does not depend on the order of the rows.

    Args:
        scheme: kind, number and seed of the folds.
        sample_ids: (N,) the training rows.
        target: (N,) or (N, T).
        train_only: (N,) rows that are trained on and never scored; None is none.
        test_ids: (T,) the rows to predict.
        class_names: of a target of class numbers, in their order; empty for any other.
        groups: (N,) which rows belong together; None is none.
        times: (N,) for kind time.
        near_duplicates: (N,) the groups, those that share near-duplicates merged: each goes to one fold. None is
            ``groups``.

    Raises:
        DataError: ids repeat, are in train and test, or the arrays differ in length.
        FoldsError: there are fewer scored rows than folds, a fold would miss a class, or a row that is only trained on
            belongs to a group that is scored.
    """
    _check_ids(sample_ids, target, train_only, test_ids)
    by_id = np.argsort(sample_ids)
    scored = by_id if train_only is None else by_id[~train_only[by_id]]
    _check_enough_rows(scheme.num_folds, target, scored, class_names)
    grouped_by = groups if near_duplicates is None else near_duplicates
    _check_external(grouped_by, train_only)
    fold_of = np.full(len(sample_ids), TRAIN_ONLY, dtype=np.int8)
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
    return _folds(scheme, sample_ids, fold_of, target, test_ids, groups, times)


def folds_digest(
    *,
    sample_ids: StrArray,
    fold_of: npt.NDArray[np.signedinteger[Any]],
    num_folds: int,
    seed: int,
    target: Target,
    test_ids: StrArray,
    groups: StrArray | None = None,
    times: Float64Array | None = None,
) -> str:
    """Return 12 hex digits over all that makes two runs' scores comparable, whatever the order of the rows."""
    by_id = np.argsort(sample_ids)
    return short_digest(
        {
            "sample_ids": sample_ids[by_id].tolist(),
            "fold_of": fold_of[by_id].tolist(),
            "num_folds": num_folds,
            "seed": seed,
            "labels": target[by_id].tolist(),
            "test_ids": np.sort(test_ids).tolist(),
            **({} if groups is None else {"groups": groups[by_id].tolist()}),
            **({} if times is None else {"times": times[by_id].tolist()}),
        }
    )


def folds_to_csv(folds: Folds) -> str:
    """Return the text of folds.csv, ``sample_id,fold`` sorted by id: the same for any order of the rows."""
    by_id = np.argsort(folds.sample_ids)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_HEADER)
    writer.writerows(zip(folds.sample_ids[by_id].tolist(), folds.fold_of[by_id].tolist(), strict=True))
    return text.getvalue()


def folds_from_csv(
    text: str,
    *,
    expected_digest: str,
    scheme: FoldScheme,
    sample_ids: StrArray,
    target: Target,
    train_only: BoolArray | None,
    test_ids: StrArray,
    groups: StrArray | None = None,
    times: Float64Array | None = None,
) -> Folds:
    """Return the folds that a run was started with, in the order of ``sample_ids``, if the data is still the same.

    Args:
        text: folds.csv, as ``folds_to_csv`` wrote it.
        expected_digest: what ``make_folds`` gave when the run was started.
        scheme: of the competition as it is now.
        sample_ids: (N,) the training rows as they are now.
        target: (N,) or (N, T) their labels.
        train_only: (N,) the rows that are never scored; None is none.
        test_ids: (T,) the rows to predict.
        groups: (N,) which rows belong together; None is none.
        times: (N,) for kind time.

    Raises:
        DataError: ids repeat, are in train and test, or the arrays differ in length.
        FoldsError: folds.csv is damaged, or ids, labels, train-only rows, test ids or the scheme have changed.
    """
    _check_ids(sample_ids, target, train_only, test_ids)
    fold_by_id = _parse_csv(text)
    _check_same_rows(fold_by_id, sample_ids)
    fold_of = np.array([fold_by_id[sample_id] for sample_id in sample_ids.tolist()], dtype=np.int8)
    folds = _folds(scheme, sample_ids, fold_of, target, test_ids, groups, times)
    if folds.digest != expected_digest:
        raise _changed(
            f"the labels, the test ids or the fold scheme: expected the digest {expected_digest}, got {folds.digest}"
        )
    now_train_only = np.zeros(len(sample_ids), dtype=np.bool_) if train_only is None else train_only
    # Folds by time, and a holdout, have rows of their own that are never scored.
    differs = (fold_of == TRAIN_ONLY) != now_train_only
    only_more = scheme.kind == "time" or scheme.holdout
    if changed := sample_ids[differs & (now_train_only | (not only_more))].tolist():
        raise _changed(f"which rows are train-only: {len(changed)} of them, such as {changed[:5]}")
    return folds


def _folds(
    scheme: FoldScheme,
    sample_ids: StrArray,
    fold_of: npt.NDArray[np.int8],
    target: Target,
    test_ids: StrArray,
    groups: StrArray | None,
    times: Float64Array | None,
) -> Folds:
    num_folds = 1 if scheme.holdout else scheme.num_folds
    digest = folds_digest(
        sample_ids=sample_ids,
        fold_of=fold_of,
        num_folds=num_folds,
        seed=scheme.seed,
        target=target,
        test_ids=test_ids,
        groups=groups,
        times=times,
    )
    return Folds(
        sample_ids=sample_ids,
        fold_of=fold_of,
        num_folds=num_folds,
        seed=scheme.seed,
        digest=digest,
        forward=scheme.kind == "time",
    )


def _check_external(groups: StrArray | None, train_only: BoolArray | None) -> None:
    """Raise FoldsError where a row that every fold trains on belongs to a group that some fold scores."""
    if groups is None or train_only is None:
        return
    if shared := np.intersect1d(groups[train_only], groups[~train_only]).tolist():
        raise FoldsError(
            f"{len(shared)} groups have rows that are scored and rows that every fold trains on, such as {shared[:5]}. "
            f"Leave the train-only rows of those groups out, or let them be scored."
        )


def _check_ids(sample_ids: StrArray, target: Target, train_only: BoolArray | None, test_ids: StrArray) -> None:
    lengths = {len(sample_ids), len(target), len(sample_ids if train_only is None else train_only)}
    if len(lengths) != 1:
        raise DataError(f"ids, labels and train-only marks differ in number: {sorted(lengths)}.")
    check_unique(sample_ids.tolist(), where="the training rows")
    check_unique(test_ids.tolist(), where="the test rows")
    if both := np.intersect1d(sample_ids, test_ids).tolist():
        raise DataError(
            f"{len(both)} ids are in train and in test, such as {both[:5]}. If they are different images, let the "
            f"competition's read() give the training ids a prefix; if not, leave them out of train."
        )


def _check_enough_rows(num_folds: int, target: Target, scored: IntArray, class_names: Sequence[str]) -> None:
    if len(scored) < num_folds:
        raise FoldsError(f"expected at least one scored row for each of {num_folds} folds, got {len(scored)} rows.")
    if not class_names or target.ndim != 1 or target.dtype.kind not in "iu":
        return
    all_counts = np.bincount(target, minlength=len(class_names))
    scored_counts = np.bincount(target[scored], minlength=len(class_names))
    for name, num_rows, num_scored in zip(class_names, all_counts.tolist(), scored_counts.tolist(), strict=True):
        if not num_rows:
            raise FoldsError(f"class {name!r} has no training rows. Remove it from the classes, or find its rows.")
        if 0 < num_scored < num_folds:
            at_most = f"use at most {num_scored} folds, or " if num_scored > 1 else ""
            advice = f"{at_most}mark all rows of the class train-only"
            raise FoldsError(
                f"class {name!r}: expected at least {num_folds} scored rows, one for each fold, got {num_scored}. "
                f"{advice[0].upper()}{advice[1:]}."
            )


def _check_classes(
    scheme: FoldScheme, fold_of: npt.NDArray[np.int8], target: Target, class_names: Sequence[str]
) -> None:
    """Raise FoldsError where a fold scores no row of a class that others score.

    With two folds or more, what every fold scores is in every fold's training rows too.
    """
    if not class_names or target.ndim != 1 or target.dtype.kind not in "iu" or scheme.kind == "time":
        return
    scored_classes = np.unique(target[fold_of != TRAIN_ONLY])
    for fold in range(scheme.num_folds):
        missing = np.setdiff1d(scored_classes, target[fold_of == fold])
        if missing.size:
            raise FoldsError(
                f"fold {fold} scores no row of class {class_names[missing[0]]!r} with kind={scheme.kind!r}, "
                f"seed={scheme.seed}. Use kind='stratified', fewer folds or another seed."
            )


def _parse_csv(text: str) -> dict[str, int]:
    """Return sample id -> fold. Raises FoldsError where ``text`` is not what ``folds_to_csv`` writes."""
    header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    if header != _CSV_HEADER:
        raise _damaged(f"expected the columns {_CSV_HEADER}, got {header}")
    fold_by_id: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        try:
            sample_id, fold = row[0], int(row[1])
        except (IndexError, ValueError):
            raise _damaged(f"row {number}: expected an id and a fold, got {row}") from None
        if sample_id in fold_by_id or not TRAIN_ONLY <= fold <= _MAX_FOLDS:
            raise _damaged(f"row {number}: expected a new id and a fold of -1..{_MAX_FOLDS}, got {row}")
        fold_by_id[sample_id] = fold
    return fold_by_id


def _check_same_rows(fold_by_id: dict[str, int], sample_ids: StrArray) -> None:
    now = set(sample_ids.tolist())
    added, removed = sorted(now - fold_by_id.keys()), sorted(fold_by_id.keys() - now)
    if added or removed:
        raise _changed(
            f"the training ids: expected {len(fold_by_id)}, got {len(now)}; "
            f"{len(added)} were added {added[:5]} and {len(removed)} removed {removed[:5]}"
        )


def _changed(what: str) -> FoldsError:
    return FoldsError(
        f"folds.csv: since the run was started something has changed in {what}. "
        f"Restore the data, or start a new run with another --run-id."
    )


def _damaged(what: str) -> FoldsError:
    return FoldsError(f"folds.csv is damaged: {what}. Restore it, or start a new run with another --run-id.")
