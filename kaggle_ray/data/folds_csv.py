"""folds.csv: the folds that a run was started with, saved once and held to the data on every resume."""

from __future__ import annotations

import csv
import io

import numpy as np

from kaggle_ray.data.folds import FoldScheme, check_ids, folds_with
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import FoldsError
from kaggle_ray.types import TRAIN_ONLY, Folds, StrArray
from kaggle_ray.untrusted import MAX_FOLDS

_HEADER = ["sample_id", "fold"]


def folds_to_csv(folds: Folds) -> str:
    """Return the text of folds.csv, ``sample_id,fold`` sorted by id: the same for any order of the rows."""
    by_id = np.argsort(folds.sample_ids)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(zip(folds.sample_ids[by_id].tolist(), folds.fold_of[by_id].tolist(), strict=True))
    return text.getvalue()


def folds_from_csv(text: str, scheme: FoldScheme, samples: Samples, *, expected_digest: str) -> Folds:
    """Return the folds that a run was started with, in the order of ``samples``, if the data is still the same.

    Args:
        text: folds.csv, as ``folds_to_csv`` wrote it.
        scheme: of the competition as it is now.
        samples: the rows as they are now.
        expected_digest: what ``make_folds`` gave when the run was started.

    Raises:
        DataError: ids repeat, are in train and test, or the arrays differ in length.
        FoldsError: folds.csv is damaged, or ids, labels, train-only rows, test ids or the scheme have changed.
    """
    check_ids(samples)
    fold_by_id = _parse(text)
    _check_same_rows(fold_by_id, samples.train_ids)
    fold_of = np.array([fold_by_id[sample_id] for sample_id in samples.train_ids.tolist()], dtype=np.int8)
    folds = folds_with(scheme, samples, fold_of)
    if folds.digest != expected_digest:
        raise _changed(
            f"the labels, the test ids or the fold scheme: expected the digest {expected_digest}, got {folds.digest}"
        )
    # Folds by time, given ones and a holdout have rows of their own that are never scored.
    differs = (fold_of == TRAIN_ONLY) != samples.is_train_only
    only_more = scheme.kind in ("time", "given") or scheme.holdout
    if changed := samples.train_ids[differs & (samples.is_train_only | (not only_more))].tolist():
        raise _changed(f"which rows are train-only: {len(changed)} of them, such as {changed[:5]}")
    return folds


def ids_by_fold(text: str) -> dict[int, StrArray]:
    """Return fold -> ids of the rows that it scores, as folds.csv says.

    Raises:
        FoldsError: folds.csv is damaged.
    """
    found: dict[int, list[str]] = {}
    for sample_id, fold in _parse(text).items():
        found.setdefault(fold, []).append(sample_id)
    return {fold: np.array(sample_ids, dtype=np.str_) for fold, sample_ids in found.items()}


def _parse(text: str) -> dict[str, int]:
    """Return sample id -> fold. Raises FoldsError where ``text`` is not what ``folds_to_csv`` writes."""
    try:
        header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    except csv.Error as error:
        raise _damaged(str(error)) from None
    if header != _HEADER:
        raise _damaged(f"expected the columns {_HEADER}, got {header}")
    fold_by_id: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        try:
            sample_id, fold = row[0], int(row[1])
        except (IndexError, ValueError):
            raise _damaged(f"row {number}: expected an id and a fold, got {row}") from None
        if sample_id in fold_by_id or not TRAIN_ONLY <= fold <= MAX_FOLDS:
            raise _damaged(f"row {number}: expected a new id and a fold of -1..{MAX_FOLDS}, got {row}")
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
