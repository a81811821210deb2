from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import SubmissionError
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.submission.check import check_submission
from kaggle_ray.testing import toy


def competition(head: Head, fmt: SubmissionFormat, mask: MaskSize | None = None) -> Competition:
    return Competition(
        name="x", heads=(head,), read=toy.read, submission=fmt, default_space=toy.default_space, mask=mask
    )


PETS = competition(
    Head(task="multiclass", classes=("cat", "dog"), metric=metric_by_name("log_loss")),
    SubmissionFormat(id_column="id", columns=("cat", "dog")),
)
BREED = competition(
    Head(task="multiclass", classes=("cat", "dog"), metric=metric_by_name("accuracy")),
    SubmissionFormat(id_column="id", columns=("label",), cells="label"),
)
TAGS = competition(
    Head(task="multilabel", classes=("cloudy", "road", "water"), metric=metric_by_name("f2")),
    SubmissionFormat(id_column="id", columns=("tags",), cells="tags"),
)
MASKS = competition(
    Head(task="segmentation", classes=("salt",), metric=metric_by_name("dice")),
    SubmissionFormat(id_column="id", columns=("rle",), cells="rle"),
    MaskSize(full_height=4, full_width=5, height=4, width=5),
)
LIGHT = competition(
    Head(task="regression", metric=metric_by_name("rmse")),
    SubmissionFormat(id_column="id", columns=("light",), cells="numbers"),
)
SAMPLE = "id,cat,dog\n1,0.5,0.5\n02,0.5,0.5\nc,0.5,0.5\n"


def check(folder: Path, submission: str, sample: str = SAMPLE, of: Competition = PETS) -> None:
    (folder / "sample.csv").write_text(sample)
    (folder / "submission.csv").write_text(submission)
    check_submission(folder / "submission.csv", folder / "sample.csv", of)


def test_a_good_submission_passes(tmp_path: Path) -> None:
    check(tmp_path, "id,cat,dog\n1,0,1\n02,0.25,0.75\nc,1e-07,0.9999999\n")


def test_rows_that_are_all_the_same_pass(tmp_path: Path) -> None:
    check(tmp_path, SAMPLE)


def test_windows_line_ends_and_a_byte_order_mark_in_the_sample_pass(tmp_path: Path) -> None:
    check(tmp_path, SAMPLE, "\ufeff" + SAMPLE.replace("\n", "\r\n"))


@pytest.mark.parametrize(
    ("submission", "message"),
    [
        ("id,dog,cat\n1,0,1\n02,0,1\nc,0,1\n", "expected the header 'id,cat,dog', got 'id,dog,cat'"),
        ("id,cat,cat\n1,0,1\n02,0,1\nc,0,1\n", "got 'id,cat,cat'"),
        ("id,cat\n1,0\n02,0\nc,0\n", "got 'id,cat'"),
        ("id,cat,dog\n1,0,1\n", r"expected 3 ids, got 1; 2 ids are missing, such as \['02', 'c'\]"),
        ("id,cat,dog\n1,0,1\n2,0,1\nc,0,1\n", r"missing, such as \['02'\]; 1 ids are not in .* such as \['2'\]"),
        ("id,cat,dog\n1,0,1\n02,0,1\nc,0,1\nc,0,1\n", r"got 4; 1 ids are there more than once, such as \['c'\]"),
        ("id,cat,dog\n02,0,1\n1,0,1\nc,0,1\n", "another order .* expected '1' in row 1, got '02'"),
        ("id,cat,dog\n1,0,1\n02,0,\nc,0,1\n", "row '02', column 'dog': expected a finite number, got ''"),
        ("id,cat,dog\n1,0,1\n02,0\nc,0,1\n", "row '02', column 'dog': expected a finite number, got ''"),
        ("id,cat,dog\n1,NaN,1\n02,0,1\nc,0,1\n", "row '1', column 'cat': expected a finite number, got 'NaN'"),
        ("id,cat,dog\n1,0,1\n02,0,1\nc,dog,inf\n", "row 'c', column 'cat'.* got 'dog'; 2 cells"),
        ("id,cat,dog\n1,0,1\n02,0,1\nc,0,inf\n", "row 'c', column 'dog': expected a finite number, got 'inf'"),
        ("id,cat,dog\n1,0,1\n02,-0.1,1\nc,0,1\n", "row '02', column 'cat': expected a probability .* got '-0.1'"),
        ("id,cat,dog\n1,0,1.0001\n02,0,2\nc,0,1\n", "row '1', column 'dog'.* got '1.0001'; 2 cells"),
        ("id,cat,dog\n1,0,1,1\n", "expected a CSV file"),
        ("id,cat,dog\n", "3 ids are missing"),
        ("", "expected a CSV file"),
    ],
)
def test_a_bad_submission_is_told_what_is_wrong_and_where(tmp_path: Path, submission: str, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check(tmp_path, submission)


def test_a_format_that_is_not_the_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"sample\.csv against the competition's format"):
        check(tmp_path, SAMPLE, "id,label\n1,0.5\n")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"nowhere\.csv: expected a CSV file"):
        check_submission(tmp_path / "nowhere.csv", tmp_path / "nowhere.csv", PETS)


@pytest.mark.parametrize(
    ("of", "good"),
    [
        (BREED, "id,label\n1,cat\n"),
        (TAGS, "id,tags\n1,water road\n"),
        (TAGS, "id,tags\n1,\n"),
        (MASKS, "id,rle\n1,1 3 20 1\n"),
        (MASKS, "id,rle\n1,\n"),
        (LIGHT, "id,light\n1,-273.15\n"),
    ],
)
def test_every_kind_of_cell_has_something_that_passes(tmp_path: Path, of: Competition, good: str) -> None:
    check(tmp_path, good, good, of)


@pytest.mark.parametrize(
    ("of", "bad", "message"),
    [
        (BREED, "id,label\n1,\n", "row '1', column 'label': expected classes of cat, dog, got"),
        (BREED, "id,label\n1,cow\n", "expected classes of cat, dog, got cow"),
        (TAGS, "id,tags\n1,water rode\n", "row '1', column 'tags': expected classes of cloudy, road, water, got rode"),
        (TAGS, "id,tags\n1,water water\n", "a class is there twice: water water"),
        (MASKS, "id,rle\n1,1 3 20\n", "row '1', column 'rle': "),
        (MASKS, "id,rle\n1,19 3\n", "row '1', column 'rle': "),
        (LIGHT, "id,light\n1,inf\n", "expected a finite number, got 'inf'"),
    ],
)
def test_every_kind_of_cell_is_checked(tmp_path: Path, of: Competition, bad: str, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check(tmp_path, bad, bad, of)
