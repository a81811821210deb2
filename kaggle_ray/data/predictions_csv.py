"""Predictions in a csv file of anybody's making: a column of ids, and one for each number of a prediction.

Shape legend: N rows, C columns of a prediction.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.columns import Column, place_columns
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.csv_files import read_table
from kaggle_ray.data.head import place_heads
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.types import Float64Array, FloatArray, StrArray

FOLD_COLUMN = "fold"
_ID_COLUMN = "sample_id"
_TOLERANCE = 0.01
"""How far the probabilities of a row's classes may be from a sum of 1: by rounding, not by another meaning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictedRows:
    """What a file predicts."""

    ids: StrArray
    """(N,) ids, each once."""
    values: FloatArray
    """(N, C) in the order of the competition's heads."""
    has_folds: bool
    """Whether the file has a column of folds, too."""


def read_predictions(file: Path, competition: Competition) -> PredictedRows:
    """Return the predictions of a csv file, its columns told by their names as those of a submission are.

    The ids are in a column ``sample_id``, or named as in the submission; a column ``fold`` is passed over.

    Raises:
        DataError: the file is no table of ids and predictions of this competition, an id comes twice, or a value is no
            number, no probability, or no share of a sum of 1; row and column are named.
    """
    fmt = competition.submission
    table = read_table(file, columns=[])
    names = [str(name) for name in table.columns]
    id_column = next((name for name in (_ID_COLUMN, fmt.id_column) if name in names), None)
    if id_column is None:
        expected = " or ".join(map(repr, dict.fromkeys((_ID_COLUMN, fmt.id_column))))
        raise DataError(f"{file}: expected a column of ids, {expected}, among {', '.join(map(repr, names[:20]))}.")
    ids = table[id_column].tolist()
    if repeated := [each for each, count in Counter(ids).items() if count > 1]:
        raise DataError(
            f"{file}: {counted(len(repeated), 'id comes', 'ids come')} more than once, such as {repeated[0]!r}."
        )
    columns = tuple(name for name in names if name not in (id_column, FOLD_COLUMN))
    placed = _placed(file, competition, columns)
    written: Float64Array = np.empty((len(ids), len(columns)))
    for number, column in enumerate(columns):
        written[:, number] = _numbers(table[column].tolist(), ids, where=f"{file}: column {column!r}")
    values = _in_order(written, placed, competition, ids, where=str(file))
    return PredictedRows(ids=np.array(ids, dtype=np.str_), values=values, has_folds=FOLD_COLUMN in names)


def _placed(file: Path, competition: Competition, columns: tuple[str, ...]) -> tuple[Column, ...]:
    """Return what each column holds: as the submission's are declared where they are those, else by their names."""
    own = competition.submission
    is_own = own.cells in ("probabilities", "numbers") and sorted(columns) == sorted(own.columns)
    holds = dict(zip(own.columns, own.holds, strict=True)) if is_own and own.holds else {}
    fmt = SubmissionFormat(id_column="", columns=columns, holds=tuple(holds[name] for name in columns if holds))
    try:
        return place_columns(competition.heads, fmt)
    except ConfigError as error:
        raise DataError(f"{file}: {error}") from error


def _numbers(cells: list[str], ids: list[str], *, where: str) -> list[float]:
    found: list[float] = []
    for sample_id, cell in zip(ids, cells, strict=True):
        try:
            found.append(float(cell))
        except ValueError:
            found.append(float("nan"))
        if not np.isfinite(found[-1]):
            raise DataError(f"{where}: sample {sample_id!r}: expected a finite number, got {cell!r}.")
    return found


def _in_order(
    written: Float64Array, placed: tuple[Column, ...], competition: Competition, ids: list[str], *, where: str
) -> FloatArray:
    """Return (N, C) the numbers in the order of a prediction. Raise DataError where they are no probabilities."""
    for place in place_heads(competition.heads):
        if place.head.task != "regression":
            of_head = [place.outputs.start <= column.output < place.outputs.stop for column in placed]
            _check_probabilities(written[:, of_head], ids, are_shares=place.head.task != "multilabel", where=where)
    values: FloatArray = np.empty((len(written), competition.num_columns), dtype=np.float32)
    # Of a binary head's two columns, which say the same, that of the second class comes last and counts.
    for column, numbers in sorted(zip(placed, written.T, strict=True), key=lambda each: not each[0].is_complement):
        values[:, column.output] = 1 - numbers if column.is_complement else numbers
    return values


def _check_probabilities(given: Float64Array, ids: list[str], *, are_shares: bool, where: str) -> None:
    """Raise DataError for the first row that is not of probabilities or, of several shares, does not sum to 1."""
    if (wrong := ((given < 0) | (given > 1)).any(axis=1)).any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{where}: sample {ids[row]!r}: expected probabilities from 0 to 1, got {given[row].tolist()}.")
    sums = given.sum(axis=1)
    if are_shares and given.shape[1] > 1 and (wrong := np.abs(sums - 1) > _TOLERANCE).any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{where}: sample {ids[row]!r}: expected probabilities that sum to 1, got {sums[row]:.4g}.")
