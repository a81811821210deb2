"""The one form that each task's target has, whatever a competition's ``read`` gives: all else relies on it.

Shape legend: N rows, L labels, T columns of the heads, side by side.

| heads | shape | type |
|---|---|---|
| binary, multi-class | (N,) | int64, 0..number of classes - 1 |
| multi-label | (N, L) | int64, 0 or 1 |
| soft: binary, multi-label | (N,), (N, L) | float64, 0..1 |
| soft: multi-class | (N, number of classes) | float64, 0..1, each row's sum is 1 |
| regression, segmentation (the share of foreground) | (N,) | float64, finite |
| several | (N, T) | int64 where all of them are of classes or labels, else float64 |
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
import numpy.typing as npt

from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head, is_of_classes, place_heads
from kaggle_ray.errors import DataError
from kaggle_ray.types import Float64Array, StrArray, Target

_LARGEST = 1e30
"""Greatest size of a number to predict: models compute in float32, and need room for what is off by some spreads."""

_MOST_GRADES = 1000
"""Greatest number that is cut out of a model's answer: each has a cut that is searched for."""

_ROUNDING = 0.01
"""Share of the targets' spread that rounding them to float32 may change them by."""

_ONE_HOT = (
    " The target is the number of a row's class: argmax(axis=1) makes it of a column of 0 and 1 for each class. "
    "Columns of probabilities or votes are the target of Head(soft=True)."
)

_SUM_OFF = 0.01
"""How far from 1 the sum of a row's probabilities may be for rounding in the files."""


def canonical_target(heads: Sequence[Head], given: object, ids: StrArray, *, where: str) -> Target:
    """Return the target in its task's one form; see the table above.

    Args:
        heads: what is to be predicted.
        given: by a competition: numbers of any kind, (N,), (N, 1) or (N, T), as an array, a list or of pandas.
        ids: (N,) of the samples.
        where: names the competition.

    Raises:
        DataError: there is not one number for each sample and column, or one is no class, label or finite number of its
            head; the first such sample is named.
    """
    columns = number_columns(given, ids, where)
    placed = place_heads(heads)
    if columns.shape[1] != (expected := placed[-1].targets.stop):
        one_hot = _ONE_HOT if [head.task for head in heads] == ["multiclass"] else ""
        raise DataError(f"{where}: expected {counted(expected, 'target column')}, got {columns.shape[1]}.{one_hot}")
    for place in placed:
        check_numbers(place.head, columns[:, place.targets], ids, where)
    if any(head.soft for head in heads):
        of_heads = [shares_of(place.head, columns[:, place.targets]) for place in placed]
        columns = np.concatenate(of_heads, axis=1)
    elif all(is_of_classes(head) for head in heads):
        columns = columns.astype(np.int64)
    return columns if len(heads) > 1 or heads[0].has_columns else columns[:, 0]


def shares_of(head: Head, columns: Float64Array) -> Float64Array:
    """Return the columns (N, T) of a head's target, those of soft classes so that each row's sum is 1."""
    if not (head.soft and head.task == "multiclass"):
        return columns
    return np.asarray(columns / columns.sum(axis=1, keepdims=True))


def number_columns(given: object, ids: StrArray, where: str) -> Float64Array:
    """Return (N, T) the numbers as they are, NaN where a value is missing.

    Raises:
        DataError: they are no numbers, or not as many rows as there are ``ids``.
    """
    try:
        values = np.asarray(given)
    except ValueError as error:
        raise DataError(f"{where}: expected a target of one length in every row; {error}.") from error
    if values.ndim not in (1, 2) or len(values) != len(ids):
        raise DataError(
            f"{where}: expected targets ({len(ids)},) or ({len(ids)}, columns), one row for each training id, "
            f"got {values.shape}."
        )
    columns = values.reshape(len(ids), -1)
    if columns.dtype == np.object_:
        return _numbers_of_objects(columns, ids, where)
    if columns.dtype.kind not in "biuf":
        raise _no_numbers(columns, columns[0, 0], ids[0], where)
    return columns.astype(np.float64)


def _numbers_of_objects(columns: npt.NDArray[np.object_], ids: StrArray, where: str) -> Float64Array:
    """Return (N, T) float64 of Python's numbers; None and what pandas writes for a missing value is NaN."""
    import pandas as pd

    numbers = np.full(columns.shape, np.nan)
    for (row, column), value in np.ndenumerate(columns):
        if isinstance(value, Real | np.bool_):
            numbers[row, column] = float(value)
        elif not (pd.api.types.is_scalar(value) and pd.isna(value)):
            raise _no_numbers(columns, value, ids[row], where)
    return numbers


def _no_numbers(columns: npt.NDArray[np.generic], value: object, sample_id: object, where: str) -> DataError:
    return DataError(
        f"{where}: expected numbers as targets, got {columns.dtype}, such as {str(value)!r} of sample "
        f"{str(sample_id)!r}. Let read() encode them; see encode_labels."
    )


def check_numbers(head: Head, columns: Float64Array, ids: StrArray, where: str) -> None:
    """Raise DataError for the first sample whose number, in the columns (N, T) of ``head``, it cannot have."""
    if head.soft:
        _check_shares(head, columns, ids, where)
        return
    highest = _highest(head)
    wrong = ~(np.abs(columns) <= _LARGEST)
    if highest is not None:
        wrong |= (columns < 0) | (columns > highest) | (columns != np.floor(columns))
    if wrong.any():
        row, column = (int(position) for position in np.argwhere(wrong)[0])
        expected = f"a finite number within {_LARGEST:g} of 0" if highest is None else f"0..{highest}"
        is_graded = head.task == "regression" and highest is not None
        graded = f": {head.metric.name} is of whole numbers" if is_graded else ""
        raise DataError(
            f"{where}: sample {str(ids[row])!r} has the label {columns[row, column]:g}, expected {expected}{graded}. "
            f"{np.count_nonzero(wrong.any(axis=1))} of {counted(len(ids), 'sample')} are like that."
        )
    if head.task == "regression":
        _check_scale(head, columns, ids, where)
        _check_rounding(head, columns, where)


def _highest(head: Head) -> int | None:
    """Return the highest of the whole numbers 0, 1, ... that a head's target has, None where it has any number."""
    if head.task == "multiclass":
        return len(head.classes) - 1
    if head.task in ("binary", "multilabel"):
        return 1
    return _MOST_GRADES if head.task == "regression" and head.metric.decision == "cutpoints" else None


def _check_scale(head: Head, columns: Float64Array, ids: StrArray, where: str) -> None:
    """Raise DataError for the first sample whose number the head's scale has no logarithm of."""
    has_none = {"linear": np.zeros_like(columns, dtype=np.bool_), "log": columns <= 0, "log1p": columns < 0}[head.scale]
    if has_none.any():
        row = int(np.flatnonzero(has_none.any(axis=1))[0])
        expected = "a number above 0" if head.scale == "log" else "a number of at least 0"
        instead = " Numbers of 0 have scale='log1p'." if head.scale == "log" and not (columns < 0).any() else ""
        raise DataError(
            f"{where}: sample {str(ids[row])!r} has the number {columns[row, 0]:g}, expected {expected}, as head "
            f"{head.name!r} has scale={head.scale!r}. {np.count_nonzero(has_none.any(axis=1))} of "
            f"{counted(len(ids), 'sample')} "
            f"are like that.{instead}"
        )


def _check_shares(head: Head, columns: Float64Array, ids: StrArray, where: str) -> None:
    """Raise DataError for the first sample whose shares are none: out of range, or of a sum that shares do not have."""
    wrong, expected = ~((columns >= 0) & (columns <= 1)).all(axis=1), "from 0 to 1"
    if head.task == "multiclass":
        sums, are_counts = columns.sum(axis=1), (columns == np.floor(columns)).all()
        wrong = ~((columns >= 0) & (columns <= _LARGEST)).all(axis=1)
        wrong |= sums == 0 if are_counts else np.abs(sums - 1) > _SUM_OFF
        expected = "probabilities of sum 1, or in all rows whole numbers of votes, of which there is one at least"
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        got = " ".join(f"{value:g}" for value in columns[row, :10]) + (" ..." if columns.shape[1] > 10 else "")
        raise DataError(
            f"{where}: sample {str(ids[row])!r} has the shares {got} of head {head.name!r}, expected {expected}. "
            f"{np.count_nonzero(wrong)} of {counted(len(ids), 'sample')} are like that."
        )


def _check_rounding(head: Head, columns: Float64Array, where: str) -> None:
    """Raise DataError where numbers differ by less than a model's float32 can tell."""
    lost = np.abs(columns - columns.astype(np.float32)).max()
    if np.ptp(columns) and lost > _ROUNDING * columns.std():
        raise DataError(
            f"{where}: the targets of head {head.name!r} lie around {columns.mean():.6g} and differ by "
            f"{np.ptp(columns):.6g}, which the float32 of models does not tell apart. Let read() subtract a constant, "
            f"and add it to the submission's numbers."
        )
