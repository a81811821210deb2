"""A person's own images and table: what is none of the run's kind is refused, and what does not reach a model is told.

Shape legend: N images, D columns of a table.
"""

from __future__ import annotations

import logging
import numbers
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.table import read_numbers, remarks_on_cut
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.reading import not_read_whole
from kaggle_ray.images.transform import Image, OneImage, facts_of, views_of_image
from kaggle_ray.models.table import cut_cells
from kaggle_ray.pipeline.recorded import RecordedCompetition
from kaggle_ray.train.predict import Predictor
from kaggle_ray.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def check_listed(images: Sequence[Image], batch_size: int, *, num_channels: int) -> None:
    """Look whether images are a list of at least one: a single image is no list, and its rows are no images.

    Raises:
        DataError: they are one image, or none.
        ConfigError: ``batch_size`` is no number of images.
    """
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise ConfigError(f"batch_size: expected an integer of at least 1, got {batch_size!r}.")
    is_array = isinstance(images, np.ndarray) and (images.ndim < 3 or images.shape[2:] == (num_channels,))
    if isinstance(images, str | Path) or is_array:
        raise DataError("images: expected a list of files or arrays, got a single one: put it between brackets.")
    if not len(images):
        raise DataError("no images: expected a file or an array for each sample.")


def numbers_of(table: pd.DataFrame | None, columns: Sequence[str], *, num_rows: int, where: str) -> FloatArray | None:
    """Return (N, D) the columns of a person's table that the run had; None where it had none.

    Raises:
        DataError: it is missing, has other rows, lacks a column or has it twice, a cell is no finite number, or there
            is a table and the run had none.
    """
    if not columns and table is None:
        return None
    if table is None:
        named = ", ".join(columns[:5]) + (", ..." if len(columns) > 5 else "")
        raise DataError(
            f"{where}: its models take a table beside each image: {counted(len(columns), 'column')}, {named}. Pass it "
            "as table=, a DataFrame with a row for each image."
        )
    if not columns:
        raise DataError(f"{where}: its models take no table. Leave table= out.")
    if len(table) != num_rows:
        raise DataError(f"table: expected a row for each of {counted(num_rows, 'image')}, got {len(table)}.")
    if missing := [column for column in columns if column not in table.columns]:
        raise DataError(
            f"table: {counted(len(missing), 'column of the run is', 'columns of the run are')} missing, "
            f"such as {missing[0]!r}."
        )
    if twice := [column for column in columns if list(table.columns).count(column) > 1]:
        raise DataError(
            f"table: {counted(len(twice), 'column of the run is', 'columns of the run are')} there twice, "
            f"such as {twice[0]!r}."
        )
    return np.stack([_column(table[column], column) for column in columns], axis=1)


def _column(cells: pd.Series[Any], column: str) -> FloatArray:
    """Return (N,) float32; a text is read as ``read_numbers`` does, and None and NaN are missing values."""
    import pandas as pd

    found = cells.astype(object).tolist()
    if all(isinstance(cell, str) for cell in found):
        return read_numbers(pd.DataFrame({column: found}), [column], where="table").values[:, 0]
    values = np.full(len(found), np.nan, dtype=np.float64)
    for row, cell in enumerate(found):
        is_number = isinstance(cell, numbers.Real | np.bool_)
        if not is_number and not (cell is None or cell is pd.NA):
            raise DataError(f"table: row {row + 1}, column {column!r}: expected a number, or NaN, got {cell!r}.")
        values[row] = cell if is_number else np.nan
    if (is_beyond := np.abs(values) > np.finfo(np.float32).max).any():
        row = int(is_beyond.argmax())
        raise DataError(f"table: row {row + 1}, column {column!r}: expected a finite float32, got {values[row]}.")
    return values.astype(np.float32)


def warn_of_altered(
    images: Sequence[Image], table_ND: FloatArray | None, asked: RecordedCompetition, predictors: Iterable[Predictor]
) -> None:
    """Tell what of images and table does not reach the models as it is: a line for each kind, with names."""
    reading, channels = asked.reading, asked.num_channels
    are_photographs = asked.reader is None
    of_images = ((name, facts_of(image, channels)) for name, image in _named(images) if are_photographs)
    remarks = not_read_whole(reading, ((name, facts) for name, facts in of_images if facts is not None))
    if table_ND is not None:
        is_cut = np.zeros(table_ND.shape, dtype=np.bool_)
        for predictor in predictors:
            is_cut |= cut_cells(predictor.model, table_ND)
        remarks += remarks_on_cut(asked.table_columns, table_ND, is_cut, [f"row {n + 1}" for n in range(len(table_ND))])
    for remark in remarks:
        logger.warning("%s", remark)


def _named(images: Sequence[Image]) -> Iterator[tuple[str, OneImage]]:
    """Yield each image with its file's name, or its place in the list."""
    for number, of_sample in enumerate(images):
        for view in views_of_image(of_sample):
            yield f"images[{number}]" if isinstance(view, np.ndarray) else Path(view).name, view
