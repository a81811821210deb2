from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.check import check_submission

FORMAT = SubmissionFormat(id_column="id", columns=("cat", "dog"))
SAMPLE = "id,cat,dog\n1,0.5,0.5\n02,0.5,0.5\nc,0.5,0.5\n"


def check(folder: Path, submission: str, sample: str = SAMPLE) -> None:
    (folder / "sample.csv").write_text(sample)
    (folder / "submission.csv").write_text(submission)
    check_submission(folder / "submission.csv", folder / "sample.csv", FORMAT)


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
        check_submission(tmp_path / "nowhere.csv", tmp_path / "nowhere.csv", FORMAT)
