from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import CellKind, SubmissionFormat
from kaggle_ray.decide import Decision, default_decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.metrics import Metric, metric_by_name, rounded
from kaggle_ray.submission.answers import answers_of
from kaggle_ray.submission.cells import Cell, to_cells
from kaggle_ray.submission.check import read_answers
from kaggle_ray.submission.write import write_submission
from kaggle_ray.testing import toy
from kaggle_ray.testing.submitted import columns_for
from kaggle_ray.types import FloatArray, StrArray, Task

NAMES = ("cat", "dog, large", 'so-called "cow"')


def competition(
    task: Task, metric: Metric, cells: CellKind, *, num_classes: int = 0, mask: MaskSize | None = None
) -> Competition:
    head = Head(task=task, metric=metric, classes=NAMES[:num_classes])
    fmt = SubmissionFormat(id_column="id", columns=columns_for(head, cells), cells=cells)
    return Competition(
        name="x", heads=(head,), read=toy.read, submission=fmt, default_space=toy.default_space, mask=mask
    )


def ids_of(values: FloatArray) -> StrArray:
    return np.array([f"id{number}" for number in range(len(values))])


GRADES = competition("regression", metric_by_name("quadratic_kappa"), "numbers")
CUTS = Decision(kind="cutpoints", parameters={"cuts": [0.5, 1.5, 2.5]})
THRESHOLDS = Decision(kind="label_thresholds", parameters={"thresholds": [0.2, 0.5, 0.8]})
SIZE = MaskSize(full_height=6, full_width=4, height=3, width=2)
MASK = Decision(kind="mask", parameters={"threshold": 0.5, "min_pixels": 0})

CASES: dict[str, tuple[Competition, Decision, FloatArray]] = {
    "grades": (GRADES, CUTS, np.array([[0.5857], [-3], [9], [1.5]], dtype=np.float32)),
    "grades of a baseline": (GRADES, Decision(kind="round"), np.array([[1.7], [0.2]], dtype=np.float32)),
    "labels by column": (
        competition("multilabel", metric_by_name("f2"), "probabilities", num_classes=3),
        THRESHOLDS,
        np.array([[0.7087, 0.7087, 0.7087], [0.1, 0.5, 0.81]], dtype=np.float32),
    ),
    "tags": (
        competition("multilabel", metric_by_name("f2"), "tags", num_classes=1),
        Decision(kind="label_thresholds", parameters={"thresholds": [0.2]}),
        np.array([[0.1], [0.9]], dtype=np.float32),
    ),
    "classes by column": (
        competition("multiclass", metric_by_name("accuracy"), "probabilities", num_classes=3),
        Decision(kind="argmax"),
        np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], dtype=np.float32),
    ),
    "one of two classes": (
        competition("binary", metric_by_name("accuracy"), "numbers", num_classes=2),
        Decision(kind="argmax"),
        np.array([[0.2], [0.5], [0.7]], dtype=np.float32),
    ),
    "names of classes": (
        competition("multiclass", metric_by_name("accuracy"), "label", num_classes=3),
        Decision(kind="argmax"),
        np.array([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]], dtype=np.float32),
    ),
    "name of one of two": (
        competition("binary", metric_by_name("macro_recall"), "label", num_classes=2),
        Decision(kind="argmax"),
        np.array([[0.2], [0.7]], dtype=np.float32),
    ),
    "rounded numbers": (
        competition("regression", rounded(metric_by_name("mae")), "numbers"),
        Decision(kind="round"),
        np.array([[20.4], [-0.3], [1e6]], dtype=np.float32),
    ),
    "numbers": (
        competition("regression", metric_by_name("rmse"), "numbers"),
        Decision(kind="none"),
        np.array([[20.4], [-1e-9], [3e38]], dtype=np.float32),
    ),
    "probabilities": (
        competition("multiclass", metric_by_name("log_loss"), "probabilities", num_classes=3),
        Decision(kind="none"),
        np.array([[0.2, 0.5, 0.3], [1, 0, 0]], dtype=np.float32),
    ),
    "ranks": (
        competition("binary", metric_by_name("auc"), "probabilities", num_classes=2),
        Decision(kind="none"),
        np.array([[0.2], [0.7]], dtype=np.float32),
    ),
    "masks": (
        competition("segmentation", metric_by_name("dice"), "rle", num_classes=1, mask=SIZE),
        MASK,
        np.array([[0, 0, 1, 1, 0, 0], [0] * 6, [1] * 6, [0.1, 0.7, 0.4, 0.9, 0.6, 0.2]], dtype=np.float32),
    ),
    "masks of classes": (
        competition("segmentation", metric_by_name("mean_iou"), "rle", num_classes=3, mask=SIZE),
        Decision(kind="none"),
        np.random.default_rng(0).random((4, 18)).astype(np.float32),
    ),
}


def cells_of(name: str) -> list[tuple[Cell, ...]]:
    of, decision, values = CASES[name]
    return list(to_cells(values, of, decision, ids=ids_of(values)))


def test_a_grade_is_the_cut_grade() -> None:
    assert cells_of("grades") == [(1,), (0,), (3,), (1,)]
    assert cells_of("grades of a baseline") == [(2,), (0,)]


def test_a_label_of_its_own_column_is_there_or_not() -> None:
    assert cells_of("labels by column") == [(1, 1, 0), (0, 0, 1)]


def test_a_class_is_named_or_its_column_is_1() -> None:
    assert cells_of("classes by column") == [(0, 1, 0), (1, 0, 0)]
    assert cells_of("one of two classes") == [(0,), (0,), (1,)]
    assert cells_of("names of classes") == [("dog, large",), ('so-called "cow"',)]
    assert cells_of("name of one of two") == [("cat",), ("dog, large",)]


def test_a_rounded_number_is_written_without_a_point() -> None:
    assert list(map(str, np.ravel(cells_of("rounded numbers")))) == ["20", "0", "1000000"]
    assert all(type(cell) is int for row in cells_of("rounded numbers") for cell in row)


def test_where_nothing_is_decided_the_numbers_are_the_predictions() -> None:
    for name in ("numbers", "probabilities", "ranks"):
        assert cells_of(name) == [tuple(row) for row in CASES[name][2].astype(np.float64).tolist()]


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_is_the_answer_that_was_written(name: str, tmp_path: Path) -> None:
    of, decision, values = CASES[name]
    path, ids = tmp_path / "submission.csv", np.array([f"id {row}" for row in range(len(values))])
    write_submission(path, ids, to_cells(values, of, decision, ids=ids), of.submission)
    read, answers = list(read_answers(path, of)), list(answers_of(values, of, decision, ids=ids))
    assert len(read) == len(answers) == len(values)
    for one, other in zip(read, answers, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(("masks", "probabilities", "names"))])
def test_what_is_read_scores_like_what_was_decided(name: str, tmp_path: Path) -> None:
    of, decision, values = CASES[name]
    path = tmp_path / "submission.csv"
    ids = ids_of(values)
    write_submission(path, ids, to_cells(values, of, decision, ids=ids), of.submission)
    target = (np.arange(len(values)) % 2)[:, np.newaxis] + np.zeros((1, values.shape[1]), dtype=np.int64)
    target = target if of.task == "multilabel" else target[:, 0]
    read = np.stack(list(read_answers(path, of)))
    assert of.metric.score(target, read) == of.metric.score(target, decision.apply(values))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", CASES)
def test_a_prediction_that_is_not_finite_is_no_answer(name: str, value: float) -> None:
    of, decision, values = CASES[name]
    diverged = values.copy()
    diverged[-1, -1] = value
    with pytest.raises(SubmissionError, match=rf"got {value} in column {values.shape[1]}. Look for a model that diver"):
        list(to_cells(diverged, of, decision, ids=ids_of(diverged)))


def test_a_rule_of_any_kind_decides_before_the_file_is_written() -> None:
    """Every metric of ours that has a decision makes whole numbers of whatever is predicted."""
    for name in ("accuracy", "macro_recall", "quadratic_kappa"):
        of = competition("multiclass", metric_by_name(name), "numbers", num_classes=3)
        values = np.random.default_rng(0).random((9, 3)).astype(np.float32)
        rows = list(to_cells(values, of, default_decision(of.metric, 3), ids=ids_of(values)))
        assert {cell for row in rows for cell in row} == {0, 1}
        assert all(sum(map(float, row)) == 1 for row in rows)


# Columns ------------------------------------------------------------------------------------------------------------

COLOURS = ("blue", "green", "red")
COLOUR = Head(task="multiclass", classes=COLOURS, metric=metric_by_name("log_loss"))
TAGGED = Head(task="multilabel", classes=COLOURS, metric=metric_by_name("f2"))
DOG = Head(name="is_dog", task="binary", classes=("cat", "dog"), metric=metric_by_name("log_loss"))
AGE = Head(name="age", task="regression", metric=metric_by_name("rmse"))


def with_columns(heads: tuple[Head, ...], columns: tuple[str, ...], holds: tuple[str, ...] = ()) -> Competition:
    fmt = SubmissionFormat(id_column="id", columns=columns, cells="numbers", holds=holds)
    return Competition(name="x", heads=heads, read=toy.read, submission=fmt, default_space=toy.default_space)


@pytest.mark.parametrize(
    ("of", "values", "expected"),
    [
        (with_columns((COLOUR,), ("red", "green", "blue")), [0.5, 0.25, 0.25], {"blue": 0.5, "red": 0.25}),
        (with_columns((COLOUR,), ("p_green", "p_blue", "p_red")), [0.5, 0.25, 0.25], {"p_blue": 0.5}),
        (with_columns((COLOUR,), ("c0", "c1", "c2"), ("red", "blue", "green")), [0.5, 0.5, 0], {"c0": 0, "c1": 0.5}),
        (with_columns((TAGGED,), ("red", "blue", "green")), [1, 0, 1], {"red": 1, "blue": 1, "green": 0}),
        (with_columns((DOG,), ("cat", "dog")), [0.25], {"cat": 0.75, "dog": 0.25}),
        (with_columns((DOG,), ("dog", "cat")), [1e-8], {"cat": 1 - float(np.float32(1e-8))}),
        (with_columns((AGE, DOG), ("dog", "age")), [31.5, 0.25], {"dog": 0.25, "age": 31.5}),
        (
            with_columns((DOG, COLOUR), ("red", "cat", "blue", "is_dog", "green")),
            [1, 0, 0.5, 0.5],
            {"cat": 0, "red": 0.5},
        ),
    ],
)
def test_each_number_stands_under_its_own_name_and_is_read_back_from_there(
    of: Competition, values: list[float], expected: dict[str, float], tmp_path: Path
) -> None:
    answer = np.array([values], dtype=np.float32)
    path, decision = tmp_path / "submission.csv", default_decision(of.metric, len(values))
    write_submission(path, np.array(["1"]), to_cells(answer, of, decision, ids=np.array(["1"])), of.submission)
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert {name: float(row[name]) for name in expected} == expected
    (read,) = read_answers(path, of)
    assert read.tolist() == decision.apply(answer)[0].tolist()


def test_a_file_is_read_by_the_names_in_its_own_header(tmp_path: Path) -> None:
    of = with_columns((COLOUR,), COLOURS)
    path = tmp_path / "submission.csv"
    path.write_text("id,red,blue,green\n1,0.5,0.125,0.375\n")
    (read,) = read_answers(path, of)
    assert read.tolist() == [0.125, 0.375, 0.5]
    path.write_text("id,red,blue,pink\n1,0.5,0.125,0.375\n")
    with pytest.raises(SubmissionError, match="missing: 'green'; not expected: 'pink'"):
        list(read_answers(path, of))


def test_two_columns_of_a_binary_head_that_do_not_sum_to_1_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text("id,cat,dog\n1,0.5,0.25\n")
    with pytest.raises(SubmissionError, match=r"row '1': expected probabilities .* got 0.5, 0.25: their sum is 0.75"):
        list(read_answers(path, with_columns((DOG,), ("cat", "dog"))))


def test_the_masks_of_classes_stand_under_their_own_names(tmp_path: Path) -> None:
    of, decision, values = CASES["masks of classes"]
    turned = replace(of, submission=replace(of.submission, columns=of.submission.columns[::-1]))
    ids = ids_of(values)
    expected = [row[::-1] for row in to_cells(values, of, decision, ids=ids)]
    assert list(to_cells(values, turned, decision, ids=ids)) == expected
