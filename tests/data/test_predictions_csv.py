"""Predictions of a csv file are told by the names of their columns; what is no prediction is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head
from kaggle_ray.data.predictions_csv import read_predictions
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import DataError
from kaggle_ray.metrics import LOG_LOSS, metric_by_name
from kaggle_ray.testing.toy import COMPETITION as BINARY
from kaggle_ray.testing.toy import default_space, read

ANIMALS = Competition(
    name="animals",
    heads=(Head(task="multiclass", classes=("cat", "dog", "cow"), metric=LOG_LOSS),),
    read=read,
    submission=SubmissionFormat(id_column="image", columns=("p_cat", "p_dog", "p_cow")),
    default_space=default_space,
)
PRICES = Competition(
    name="prices",
    heads=(Head(task="regression", name="price", metric=metric_by_name("rmse")),),
    read=read,
    submission=SubmissionFormat(id_column="id", columns=("price",), cells="numbers"),
    default_space=default_space,
)


def written(folder: Path, *lines: str) -> Path:
    file = folder / "oof.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(
    ("competition", "header", "row", "expected"),
    [
        (BINARY, "id,label", "7,0.75", [0.75]),
        (BINARY, "sample_id,fold,bright", "7,3,0.75", [0.75]),
        (BINARY, "id,bright,dark", "7,0.75,0.25", [0.75]),
        (ANIMALS, "image,p_dog,p_cow,p_cat", "7,0.5,0.125,0.375", [0.375, 0.5, 0.125]),
        (ANIMALS, "sample_id,cow,dog,cat", "7,0.125,0.5,0.375", [0.375, 0.5, 0.125]),
        (PRICES, "id,value", "7,-1200.5", [-1200.5]),
    ],
)
def test_columns_are_told_by_their_names(
    competition: Competition, header: str, row: str, expected: list[float], tmp_path: Path
) -> None:
    found = read_predictions(written(tmp_path, header, row), competition)
    assert found.ids.tolist() == ["7"]
    np.testing.assert_array_equal(found.values, [expected])
    assert found.has_folds == ("fold" in header)


@pytest.mark.parametrize(
    ("competition", "lines", "message"),
    [
        (BINARY, ["number,label", "1,0.5"], "expected a column of ids, 'sample_id' or 'id', among 'number', 'label'"),
        (BINARY, ["id,label", "1,0.5", "1,0.6"], "1 id comes more than once, such as '1'"),
        (BINARY, ["id,label", "1,nan"], "column 'label': sample '1': expected a finite number, got 'nan'"),
        (BINARY, ["id,label", "1,"], "column 'label': sample '1': expected a finite number, got ''"),
        (BINARY, ["id,label", "1,bright"], "expected a finite number, got 'bright'"),
        (BINARY, ["id,label", "1,0.5", "2,1.5"], r"sample '2': expected probabilities from 0 to 1, got \[1.5\]"),
        (BINARY, ["id,dark", "1,0.5"], "'dark' has the name of class 'dark'"),
        (BINARY, ["id,bright,dark", "1,0.75,0.75"], "expected probabilities that sum to 1, got 1.5"),
        (ANIMALS, ["image,cat,dog", "1,0.5,0.5"], "expected columns named .*'cow'"),
        (ANIMALS, ["image,cat,dog,cow", "1,0.5,0.5,0.5"], "sample '1': expected probabilities that sum to 1, got 1.5"),
        (PRICES, ["id,value", "1,inf"], "expected a finite number, got 'inf'"),
    ],
)
def test_what_is_no_prediction_is_refused_by_name(
    competition: Competition, lines: list[str], message: str, tmp_path: Path
) -> None:
    file = written(tmp_path, *lines)
    with pytest.raises(DataError, match=message) as refused:
        read_predictions(file, competition)
    assert str(refused.value).startswith(str(file))
