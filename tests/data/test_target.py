from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kaggle_ray.config import SearchSpace
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds import FoldScheme, make_folds
from kaggle_ray.data.head import Head, Scale
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.data.target import canonical_target
from kaggle_ray.errors import DataError, FoldsError
from kaggle_ray.metrics import ACCURACY, DICE, F2, LOG_LOSS, QUADRATIC_KAPPA, RMSE
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.types import Target

CLASSES = tuple(f"c{number}" for number in range(20))
KIND = Head(name="kind", task="multiclass", classes=CLASSES, metric=LOG_LOSS)
BINARY = Head(name="is_dog", task="binary", classes=("cat", "dog"), metric=LOG_LOSS)
TAGS = Head(name="tags", task="multilabel", classes=("x", "y"), metric=F2)
PRICE = Head(name="price", task="regression", metric=RMSE)
GRADE = Head(name="grade", task="regression", metric=QUADRATIC_KAPPA)
MASK = Head(name="car", task="segmentation", classes=("car",), metric=DICE)
IDS = np.array(["a", "b", "c", "d"])
NUMBERS = [3, 0, 19, 7]


def canonical(head: Head | tuple[Head, ...], given: object) -> Target:
    return canonical_target(head if isinstance(head, tuple) else (head,), given, IDS, where="pets")


Make = Callable[[list[int]], Any]
DTYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
    "longdouble", "object",
)  # fmt: skip
FORMS: dict[str, Make] = {
    **{dtype: partial(np.array, dtype=dtype) for dtype in DTYPES},
    "a list": list,
    "strings of pandas as categories": lambda numbers: pd.Categorical(
        [CLASSES[number] for number in numbers], categories=CLASSES
    ).codes,
    "pandas": pd.Series,
    "pandas, nullable": lambda numbers: pd.Series(numbers, dtype="Int16"),
    "pandas, nullable floats": lambda numbers: pd.array(numbers, dtype="Float32"),
    "pandas, a table of one column": lambda numbers: pd.DataFrame({"label": numbers}),
    "one column": lambda numbers: np.array(numbers, dtype=np.uint8)[:, np.newaxis],
    "Python's numbers in one column": lambda numbers: [[number] for number in numbers],
    "a reversed view": lambda numbers: np.array(numbers[::-1], dtype=np.int8)[::-1],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_class_numbers_of_any_kind_are_the_same_target(form: str) -> None:
    target = canonical(KIND, FORMS[form](NUMBERS))
    assert target.dtype == np.int64
    assert target.tolist() == NUMBERS
    binary = canonical(BINARY, FORMS[form]([1, 0, 0, 1]))
    assert (binary.dtype.name, binary.tolist()) == ("int64", [1, 0, 0, 1])


@pytest.mark.parametrize(
    "given",
    [
        np.array([True, False, False, True]),
        [True, False, False, True],
        np.array([True, False, False, True], dtype=object),
        pd.Series([True, False, False, True], dtype="boolean"),
        np.array([[1.0], [0.0], [-0.0], [1.0]]),
    ],
)
def test_truth_values_are_a_binary_target_or_one_label(given: object) -> None:
    target = canonical(BINARY, given)
    assert (target.dtype.name, target.tolist()) == ("int64", [1, 0, 0, 1])
    one_label = Head(task="multilabel", classes=("x",), metric=F2)
    assert canonical(one_label, given).tolist() == [[1], [0], [0], [1]]


@pytest.mark.parametrize("form", [name for name in FORMS if "pandas" not in name and "column" not in name])
def test_numbers_of_any_kind_are_floats(form: str) -> None:
    target = canonical(PRICE, FORMS[form](NUMBERS))
    assert (target.dtype.name, target.tolist()) == ("float64", [3.0, 0.0, 19.0, 7.0])


def test_labels_stand_side_by_side_and_so_do_heads() -> None:
    labels = [[0, 1], [1, 1], [0, 0], [1, 0]]
    for dtype in (bool, np.uint8, np.float32, object):
        target = canonical(TAGS, np.array(labels, dtype=dtype))
        assert (target.dtype.name, target.tolist()) == ("int64", labels)
    several = canonical((BINARY, KIND), np.array([[0, 19], [1, 3], [0, 0], [1, 7]], dtype=np.uint8))
    assert (several.dtype.name, several[:, 1].tolist()) == ("int64", [19, 3, 0, 7])
    mixed = canonical((BINARY, PRICE), [[0, 1.5], [1, -2], [0, 1e9], [True, 0]])
    assert (mixed.dtype.name, mixed.tolist()) == ("float64", [[0.0, 1.5], [1.0, -2.0], [0.0, 1e9], [1.0, 0.0]])


def test_the_share_of_a_masks_foreground_is_a_number() -> None:
    target = canonical(MASK, np.array([[0], [1], [0], [1]], dtype=np.uint8))
    assert (target.dtype.name, target.tolist()) == ("float64", [0.0, 1.0, 0.0, 1.0])


NAN = float("nan")


@pytest.mark.parametrize(
    ("head", "given", "told"),
    [
        (KIND, [3, 0, -1, 7], r"pets: sample 'c' has the label -1, expected 0\.\.19\. 1 of 4 samples are like that"),
        (KIND, pd.Categorical(["c1", "c2", None, "c3"], categories=CLASSES).codes, r"sample 'c' has the label -1"),
        (KIND, np.array([3, 20, 255, 7], dtype=np.uint8), r"sample 'b' has the label 20, expected 0\.\.19\. 2 of 4"),
        (KIND, [3, 0.5, 1, 7], r"sample 'b' has the label 0\.5, expected 0\.\.19"),
        (KIND, [3, 0, 1, NAN], r"sample 'd' has the label nan, expected 0\.\.19"),
        (KIND, pd.Series([3, None, 1, 2], dtype="Int64"), r"sample 'b' has the label nan"),
        (KIND, [3, None, 1, 2], r"sample 'b' has the label nan"),
        (BINARY, [0, 1, 2, 1], r"sample 'c' has the label 2, expected 0\.\.1"),
        (BINARY, np.array([-1, 1, 1, -1], dtype=np.int8), r"sample 'a' has the label -1, expected 0\.\.1. 2 of 4"),
        (TAGS, [[0, 1], [0, 2], [0, 0], [1, 1]], r"sample 'b' has the label 2, expected 0\.\.1"),
        (TAGS, [[0, 1], [0, 0.3], [0, 0], [1, 1]], r"sample 'b' has the label 0\.3, expected 0\.\.1"),
        (PRICE, [1.0, NAN, 2.0, 3.0], r"sample 'b' has the label nan, expected a finite number"),
        (PRICE, [1.0, 2.0, -np.inf, 3.0], r"sample 'c' has the label -inf, expected a finite number"),
        (PRICE, [1.0, 2.0, 3.0, 1e300], r"sample 'd' has the label 1e\+300, expected a finite number within 1e\+30"),
        (PRICE, [1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3], r"'price' lie around 1e\+09 and differ by 3, which the float32"),
        (GRADE, [0, 1, 2, -1], r"sample 'd' has the label -1, expected 0\.\.1000: quadratic_kappa is of whole numbers"),
        (GRADE, [0, 1, 2, 2.5], r"sample 'd' has the label 2\.5, expected 0\.\.1000"),
        (GRADE, [0, 1, 2, 1e12], r"sample 'd' has the label 1e\+12, expected 0\.\.1000"),
        (MASK, [0, 1, NAN, 1], r"sample 'c' has the label nan, expected a finite number"),
    ],
)  # fmt: skip
def test_a_number_that_a_task_cannot_have_is_told_with_its_sample(head: Head, given: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        canonical(head, given)


@pytest.mark.parametrize(
    ("head", "given", "told"),
    [
        (KIND, ["c1", "c2", "c3", "c0"], r"expected numbers as targets, got <U2, such as 'c1' of sample 'a'\."),
        (KIND, np.array(["1", "2", "3", "0"], dtype=object), r"got object, such as '1' of sample 'a'"),
        (KIND, pd.Categorical(["c1", "c2", "c3", "c0"]), r"got object, such as 'c1' of sample 'a'"),
        (KIND, pd.to_datetime(["2020-01-01"] * 4), r"got datetime64"),
        (KIND, np.array([1 + 2j] * 4), r"got complex128"),
        (KIND, np.eye(20)[NUMBERS], r"expected 1 target column, got 20\. .*argmax\(axis=1\)"),
        (KIND, [[1], [2, 3], [4], [5]], r"expected a target of one length in every row"),
        (KIND, np.array(3), r"expected targets \(4,\) or \(4, columns\), one row for each training id, got \(\)"),
        (KIND, [1, 2, 3], r"one row for each training id, got \(3,\)"),
        (KIND, [[1, 2, 3, 4]], r"one row for each training id, got \(1, 4\)"),
        (KIND, np.zeros((4, 1, 1)), r"one row for each training id, got \(4, 1, 1\)"),
        (TAGS, [0, 1, 1, 0], r"expected 2 target columns, got 1\."),
        ((BINARY, PRICE), np.zeros((4, 3)), r"expected 2 target columns, got 3\."),
    ],
)  # fmt: skip
def test_what_is_no_column_of_numbers_is_refused(head: Head, given: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        canonical(head, given)


@pytest.mark.parametrize(
    "given", [[0.1] * 4, [0.0] * 4, [1e30, -1e30, 0, 1], [1e-20, 2e-20, 3e-20, 0], [2020, 2021, 2022, 2023]]
)
def test_numbers_of_any_size_that_a_model_can_tell_apart_are_kept(given: list[float]) -> None:
    assert canonical(PRICE, given).tolist() == given


def test_many_equal_numbers_are_a_target_though_their_mean_is_rounded() -> None:
    ids = np.array([f"a{row}" for row in range(12)])
    assert canonical_target((PRICE,), np.full(12, 0.1), ids, where="pets").tolist() == [0.1] * 12


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32", "object"])
def test_an_opened_competition_has_the_target_in_its_one_form(dtype: str, tmp_path: Path) -> None:
    def read(folder: Path) -> Samples:
        paths = tuple(folder / f"{name}.png" for name in IDS)
        target = np.array(NUMBERS, dtype=dtype)[:, np.newaxis]
        return Samples(train_ids=IDS, train_paths=paths, target=target, test_ids=np.array(["t"]), test_paths=paths[:1])

    competition = Competition(
        name="pets", heads=(Head(task="multiclass", classes=CLASSES, metric=ACCURACY),), read=read,
        submission=SubmissionFormat(id_column="id", columns=("label",), cells="label"),
        default_space=lambda settings: SearchSpace(base={}),
    )  # fmt: skip
    target = open_competition(competition, tmp_path)[1].target
    assert (target.dtype.name, target.tolist()) == ("int64", NUMBERS)


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8", "bool", "float32", "object"])
@pytest.mark.parametrize("num_columns", [0, 1])
def test_a_class_with_fewer_rows_than_folds_is_told_whatever_the_type_of_its_numbers(
    dtype: str, num_columns: int
) -> None:
    ids = np.array([f"a{row:02}" for row in range(30)])
    given = (np.arange(30) < 2).astype(dtype).reshape(30, *[1] * num_columns)
    samples = samples_of(ids, canonical_target((BINARY,), given, ids, where="pets"), test_ids=np.array(["t"]))
    with pytest.raises(FoldsError, match="class 'dog': expected at least 5 scored rows, one for each fold, got 2"):
        make_folds(FoldScheme(), samples, heads=(BINARY,))


@pytest.mark.parametrize(
    ("scale", "given", "message"),
    [
        ("log", [3.0, 0.0, 2.0, 0.0], r"'b' has the number 0, expected a number above 0, as head 'price' has "
         r"scale='log'\. 2 of 4 samples are like that\. Numbers of 0 have scale='log1p'\."),
        ("log", [3.0, 1.0, -2.0, 0.0], r"'c' has the number -2, expected a number above 0.*2 of 4 samples .* that\.$"),
        ("log1p", [3.0, 0.0, 2.0, -0.5], r"'d' has the number -0\.5, expected a number of at least 0.*1 of 4"),
    ],
)  # fmt: skip
def test_a_number_that_its_scale_has_no_logarithm_of_is_refused(scale: Scale, given: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        canonical(replace(PRICE, scale=scale), given)
    canonical(replace(PRICE, scale=scale), np.maximum(given, 0.1))
