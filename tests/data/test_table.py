"""Numbers beside images: how cells are read, and what of new rows no model has seen the like of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.table import Table, beyond_training, read_numbers, remarks_on_cut, remarks_on_missing
from kaggle_ray.errors import DataError
from kaggle_ray.models.table import TableNorm, cut_cells


def table(*rows: tuple[float, float]) -> Table:
    return Table(columns=("width", "area"), values=np.array(rows, dtype=np.float32))


@pytest.mark.parametrize("cell", ["1_000", "\u0661\u0662", "1e39", "inf", "nan", "NA", "1,5", "0x10"])
def test_a_cell_that_only_python_reads_as_a_number_is_refused(cell: str) -> None:
    with pytest.raises(DataError, match=r"train\.csv: row 2, column 'width': expected a number or nothing, got "):
        read_numbers(pd.DataFrame({"width": ["1.5", cell]}), ["width"], where="train.csv")


@pytest.mark.parametrize("given", [12, 12.0, None, np.int64(7), b"0012"])
def test_an_id_that_is_no_text_is_refused_since_0012_became_12(given: object) -> None:
    with pytest.raises(DataError, match=r"ids: expected texts, got .*dtype=str: 0012"):
        as_ids(["0012", given])  # type: ignore[list-item]


def test_the_numbers_that_a_model_cuts_are_those_that_are_named() -> None:
    train = table(*((float(row % 5), 10.0) for row in range(40)))
    test = table((2.0, 10.0), (1e6, 21.0), (float("nan"), 10.5))
    norm = TableNorm(2)
    norm.fit(torch.from_numpy(train.values))
    expected = [[False, False], [True, True], [False, False]]
    assert norm.cuts(torch.from_numpy(test.values)).tolist() == expected
    assert cut_cells(torch.nn.Sequential(norm), test.values).tolist() == expected
    is_cut = beyond_training(train, test)
    assert is_cut.tolist() == expected
    assert norm(torch.from_numpy(test.values)).abs().max() == 10
    (remark,) = remarks_on_cut(test.columns, test.values, is_cut, ["b0", "b1", "b2"])
    assert remark == (
        "2 numbers of the table are more than 10 standard deviations from the mean of the training rows, cut "
        "there: width of b1 (1e+06), area of b1 (21)"
    )
    assert remarks_on_cut(test.columns, test.values, np.zeros((3, 2), dtype=np.bool_), ["b0", "b1", "b2"]) == []


def test_a_column_that_only_new_rows_lack_is_named() -> None:
    nan = float("nan")
    test, names = table((nan, nan), (nan, 1.0)), ["b0", "b1"]
    (remark,) = remarks_on_missing(table((1.0, nan), (2.0, 3.0)), test, names)
    assert remark.startswith("the table's column 'width' is missing in 2 rows to predict, and in no training row")
    assert remark.endswith(": b0, b1")
    assert remarks_on_missing(table((nan, nan), (2.0, 3.0)), test, names) == []
