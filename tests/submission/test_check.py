from __future__ import annotations

from io import StringIO
from pathlib import Path

import pandas as pd
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
GRADES = competition(
    Head(task="regression", metric=metric_by_name("quadratic_kappa")),
    SubmissionFormat(id_column="id", columns=("grade",), cells="numbers"),
)
LABELS = competition(
    Head(task="multilabel", classes=("cloudy", "road"), metric=metric_by_name("f2")),
    SubmissionFormat(id_column="id", columns=("cloudy", "road")),
)
PARTS = competition(
    Head(task="segmentation", classes=("background", "left", "right"), metric=metric_by_name("mean_iou")),
    SubmissionFormat(id_column="id", columns=("left", "right"), cells="rle"),
    MaskSize(full_height=4, full_width=5, height=4, width=5),
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


@pytest.mark.parametrize(
    "same",
    [
        "\ufeff" + SAMPLE,
        SAMPLE.replace("\n", "\r\n"),
        SAMPLE.replace("id,cat", '"id","cat"').replace("02,0.5", '"02","0.5"'),
        "\ufeff" + SAMPLE.replace("id,", '"id",'),
        SAMPLE.replace("c,", "\n\nc,") + "\n\n",
        SAMPLE[:-1],
    ],
)
def test_what_every_reader_takes_for_the_same_file_passes(tmp_path: Path, same: str) -> None:
    check(tmp_path, SAMPLE, same)
    check(tmp_path, same, SAMPLE)
    assert pd.read_csv(StringIO(same), encoding="utf-8-sig", dtype=str).equals(pd.read_csv(StringIO(SAMPLE), dtype=str))


def test_of_the_samples_other_fields_nothing_is_asked(tmp_path: Path) -> None:
    check(tmp_path, SAMPLE, "id,cat,dog\n1,,\n02,?,0.5,\nc\n")


@pytest.mark.parametrize(
    ("submission", "message"),
    [
        ("id,dog,cat\n1,0,1\n02,0,1\nc,0,1\n", "expected the header 'id,cat,dog', got 'id,dog,cat'"),
        ("id,cat,cat\n1,0,1\n02,0,1\nc,0,1\n", "got 'id,cat,cat'"),
        ("id,cat\n1,0\n02,0\nc,0\n", "got 'id,cat'"),
        ("id,cat,dog\n1,0,1\n", r"expected 3 ids, got 1; 2 ids are missing, such as \['02', 'c'\]"),
        ("id,cat,dog\n1,0,1\n2,0,1\nc,0,1\n", r"missing, such as \['02'\]; 1 id is not in .* such as \['2'\]"),
        ("id,cat,dog\n1,0,1\n02,0,1\nc,0,1\nc,0,1\n", r"got 4; 1 id is there more than once, such as \['c'\]"),
        ("id,cat,dog\n02,0,1\n1,0,1\nc,0,1\n", "another order .* expected '1' in row 1, got '02'"),
        ("id,cat,dog\n1,0,1\n02,0,\nc,0,1\n", "row '02', column 'dog': expected a finite number, got ''"),
        ("id,cat,dog\n1,0,1\n02,0\nc,0,1\n", "row '02': expected 3 fields, as in the header, got 2"),
        ("id,cat,dog\n1,0,1\n02,0,1,\nc,0,1\n", "row '02': expected 3 fields, as in the header, got 4"),
        ("id,cat,dog\n1,0,1\n \nc,0,1\n", "row ' ': expected 3 fields, as in the header, got 1"),
        ("id,cat,dog,\n1,0,1,\n02,0,1,\nc,0,1,\n", "expected the header 'id,cat,dog', got 'id,cat,dog,'"),
        ("id,cat,dog\n1,0,1\n02 ,0,1\nc,0,1\n", r"missing, such as \['02'\]; 1 id is not .* such as \['02 '\]"),
        ("id, cat, dog\n1,0,1\n02,0,1\nc,0,1\n", "got 'id, cat, dog'"),
        ('id,cat,dog\n1,0,1\n02,0,"1\nc,0,1\n', "expected a CSV file in UTF-8; unexpected end of data"),
        ('id,cat,dog\n1,0,1\n02,0,"1"0\nc,0,1\n', "expected a CSV file in UTF-8"),
        ("id;cat;dog\n1;0;1\n02;0;1\nc;0;1\n", "got 'id;cat;dog'"),
        ("id,cat,dog\n1,NaN,1\n02,0,1\nc,0,1\n", "row '1', column 'cat': expected a finite number, got 'NaN'"),
        ("id,cat,dog\n1,0,1\n02,0,inf\nc,dog,inf\n", "row '02', column 'dog'.* got 'inf'; 2 rows"),
        ("id,cat,dog\n1,0,1\n02,0,1\nc,0,inf\n", "row 'c', column 'dog': expected a finite number, got 'inf'"),
        ("id,cat,dog\n1,0,1\n02,-0.1,1\nc,0,1\n", "row '02', column 'cat': expected a probability .* got '-0.1'"),
        ("id,cat,dog\n1,0,1.0001\n02,0,2\nc,0,1\n", "row '1', column 'dog'.* got '1.0001'; 2 rows"),
        (
            "id,cat,dog\n1,0,1\n02,0,0\nc,0,1\n",
            "row '02': expected probabilities .* sum to 1, got 0, 0: their sum is 0",
        ),
        ("id,cat,dog\n1,0.9,0.9\n02,0.4,0.4\nc,0,1\n", "row '1': expected .* got 0.9, 0.9: their sum is 1.8; 2 rows"),
        ("id,cat,dog\n1,0,1,1\n", "row '1': expected 3 fields, as in the header, got 4"),
        ("id,cat,dog\n", "3 ids are missing"),
        ("", "expected a CSV file; it is empty"),
    ],
)
def test_a_bad_submission_is_told_what_is_wrong_and_where(tmp_path: Path, submission: str, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check(tmp_path, submission)


NO_NUMBERS = [
    "0_1", "1_000", "+1", " 1", "1 ", "\u0661", "\uff11", "nan", "NaN", "inf", "-inf", "Infinity", "0x1", "1.", ".5",
    "01", "--1", "1e", "1e999", "1e39", "1,0", "1\u00a0", "1\t", "1\n", "", "-", "True", "None",
    "1f", "1L", "1/2", "1%", "\u00bd",
]  # fmt: skip


@pytest.mark.parametrize("cell", NO_NUMBERS)
@pytest.mark.parametrize("of", [PETS, LIGHT, GRADES, LABELS])
def test_what_only_python_takes_for_a_number_is_none(tmp_path: Path, of: Competition, cell: str) -> None:
    header = ",".join(of.submission.header)
    row = ["1", *["0"] * (len(of.submission.columns) - 1), f'"{cell}"']
    with pytest.raises(SubmissionError, match=r"row '1', column .*: expected a (finite|whole) number, got "):
        check(tmp_path, f"{header}\n{','.join(row)}\n", f"{header}\n1,0\n", of)


@pytest.mark.parametrize("cell", ["1.0", "1e5", "0.5857", "1e0", "9" * 19])
@pytest.mark.parametrize("of", [GRADES, LABELS])
def test_a_decided_answer_is_a_whole_number(tmp_path: Path, of: Competition, cell: str) -> None:
    header = ",".join(of.submission.header)
    row = ["1", *["0"] * (len(of.submission.columns) - 1), cell]
    with pytest.raises(SubmissionError, match=rf"row '1', column .*: expected a whole number, got '{cell}'"):
        check(tmp_path, f"{header}\n{','.join(row)}\n", f"{header}\n1,0\n", of)


def test_a_long_cell_is_not_repeated_in_full(tmp_path: Path) -> None:
    bad = f"id,rle\n1,1 {'9' * 500_000}\n"
    with pytest.raises(SubmissionError, match=r"got '9{40}'\.\.\. \(500,000 characters\)"):
        check(tmp_path, bad, "id,rle\n1,\n", MASKS)


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
        (LIGHT, "id,light\n1,1e-07\n2,1E+5\n3,-0\n4,0.0\n5,12345678901234567890\n"),
        (GRADES, "id,grade\n1,0\n2,4\n3,-1\n"),
        (LABELS, "id,cloudy,road\n1,0,0\n2,1,1\n"),
        (PARTS, "id,left,right\n1,1 3,4 2\n2,,\n"),
    ],
)
def test_every_kind_of_cell_has_something_that_passes(tmp_path: Path, of: Competition, good: str) -> None:
    check(tmp_path, good, good, of)


@pytest.mark.parametrize(
    ("of", "bad", "message"),
    [
        (BREED, "id,label\n1,\n", "row '1', column 'label': expected classes of cat, dog, got ''"),
        (BREED, "id,label\n1,cow\n", "expected classes of cat, dog, got 'cow'"),
        (BREED, "id,label\n1,cat \n", "expected classes of cat, dog, got 'cat '"),
        (BREED, "id,label\n1,Cat\n", "expected classes of cat, dog, got 'Cat'"),
        (BREED, "id,label\n1,0\n", "expected classes of cat, dog, got '0'"),
        (
            TAGS,
            "id,tags\n1,water rode\n",
            "row '1', column 'tags': expected classes of cloudy, road, water, got 'rode'",
        ),
        (TAGS, "id,tags\n1,water  road\n", "expected classes of cloudy, road, water, got ''"),
        (TAGS, "id,tags\n1,water\u00a0road\n", "expected classes of cloudy, road, water, got 'water"),
        (TAGS, "id,tags\n1, water\n", "expected classes of cloudy, road, water, got ''"),
        (TAGS, "id,tags\n1\n", "row '1': expected 2 fields, as in the header, got 1"),
        (TAGS, "id,tags\n1,water water\n", "a class is there twice: water water"),
        (MASKS, "id,rle\n1,1 3 20\n", "row '1', column 'rle': "),
        (MASKS, "id,rle\n1,19 3\n", "row '1', column 'rle': "),
        (MASKS, "id,rle\n1\n", "row '1': expected 2 fields, as in the header, got 1"),
        (MASKS, f"id,rle\n1,{2**63} 1\n", "expected a whole number, got '9223372036854775808'"),
        (MASKS, "id,rle\n1,1 9999999999999999999999\n", "expected a whole number"),
        (PARTS, "id,left,right\n1,1 3,3 1\n", "row '1', column 'right': expected one class for each pixel"),
        (LIGHT, "id,light\n1,inf\n", "expected a finite number, got 'inf'"),
    ],
)
def test_every_kind_of_cell_is_checked(tmp_path: Path, of: Competition, bad: str, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check(tmp_path, bad, bad, of)
