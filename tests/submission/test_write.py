from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.decide import default_decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.metrics import ACCURACY, AUC, LOG_LOSS
from kaggle_ray.submission.cells import to_cells
from kaggle_ray.submission.check import check_submission, read_answers
from kaggle_ray.submission.packed import copy_submission
from kaggle_ray.submission.table import check_ids, digest_of_cells, read_blocks
from kaggle_ray.submission.write import write_submission
from kaggle_ray.testing import toy
from kaggle_ray.testing.submitted import read_cells
from kaggle_ray.types import FloatArray

FORMAT = SubmissionFormat(id_column="id", columns=("label",))

ids_strategy = st.text(st.sampled_from("0179abNAé ,\"'-."), min_size=1, max_size=6)
probability = st.floats(0, 1, width=32)


def competition(num_columns: int) -> Competition:
    names = tuple(f"class {number}" for number in range(num_columns))
    return Competition(
        name="x",
        heads=(
            Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS)
            if num_columns == 1
            else Head(task="multiclass", classes=names, metric=LOG_LOSS),
        ),
        read=toy.read,
        submission=SubmissionFormat(id_column="id", columns=names),
        default_space=toy.default_space,
    )


def write(path: Path, ids: list[str], values: FloatArray, of: Competition) -> str:
    cells = to_cells(values, of, default_decision(LOG_LOSS, values.shape[1]), ids=np.array(ids))
    return write_submission(path, np.array(ids), cells, of.submission)


def read(path: Path, of: Competition) -> FloatArray:
    return np.stack(list(read_answers(path, of)))


def column(values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float32)[:, np.newaxis]


@given(data=st.data(), num_columns=st.sampled_from([1, 3]))
@settings(max_examples=60, deadline=None)
def test_what_is_written_scores_exactly_like_what_was_predicted(data: st.DataObject, num_columns: int) -> None:
    ids = data.draw(st.lists(ids_strategy, min_size=3, max_size=12, unique=True))
    size = len(ids) * num_columns
    values = data.draw(st.lists(probability, min_size=size, max_size=size))
    predicted = np.array(values, dtype=np.float32).reshape(len(ids), num_columns)
    if num_columns > 1:  # probabilities of classes sum to 1, or the row is refused
        predicted = (predicted + 1e-3) / (predicted + 1e-3).sum(axis=1, keepdims=True)
    target = np.arange(len(ids)) % max(num_columns, 2)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.csv"
        digest = write(path, ids, predicted, competition(num_columns))
        check_submission(path, path, competition(num_columns))
        assert digest_of_cells(path) == digest
        table = read_cells(path)
        values_read = read(path, competition(num_columns))

    assert list(table.ids) == ids
    assert values_read.tobytes() == predicted.tobytes()
    for metric in (ACCURACY, LOG_LOSS) if num_columns > 1 else (ACCURACY, LOG_LOSS, AUC):
        assert metric.score(target, values_read) == metric.score(target, predicted)


@given(st.lists(probability, min_size=1, max_size=20))
@settings(max_examples=40)
def test_a_cell_read_as_float64_is_exactly_the_float32_value(values: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.csv"
        write(path, [str(number) for number in range(len(values))], column(values), competition(1))
        cells = [row.split(",")[1] for row in path.read_text().splitlines()[1:]]
    assert [float(cell) for cell in cells] == values


def test_the_file_is_the_header_and_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    write(path, ["007", "7"], column([0.1, 0.5]), competition(1))
    assert path.read_bytes() == b"id,class 0\n007,0.10000000149011612\n7,0.5\n"


@pytest.mark.parametrize(
    ("ids", "expected", "message"),
    [
        (["1"], ["1", "2", "3"], r"expected 3 ids, got 1; 2 ids are missing, such as \['2', '3'\]"),
        (["1", "2"], ["1"], r"1 id is not in the sample submission, such as \['2'\]"),
        (["1", "1"], ["1"], r"1 id is there more than once, such as \['1'\]"),
        (["1"], ["1", "1"], r"1 id is expected more than once, such as \['1'\]"),
        (["007"], ["7"], r"1 id is missing, such as \['7'\]; 1 id is not .* \['007'\]"),
    ],
)
def test_every_id_has_to_be_predicted_exactly_once(ids: list[str], expected: list[str], message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check_ids(ids, expected, where="x")


@pytest.mark.parametrize("number", [1, 3])
def test_the_digest_tells_a_changed_cell_a_changed_id_and_a_lost_row(number: int, tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    digest = write(path, ["a", "b"], np.full((2, number), 0.5, np.float32), competition(number))
    good = path.read_text()
    for changed in (good.replace("0.5\n", "0.25\n", 1), good.replace("b,", "c,"), good[: good.index("b,")]):
        path.write_text(changed)
        assert digest_of_cells(path) != digest


def test_a_file_that_is_read_in_blocks_has_the_rows_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    write(path, [f"{row:02d}" for row in range(10)], column([0.1] * 10), competition(1))
    whole = read_cells(path)
    blocks = list(read_blocks(path, rows_at_once=4))
    assert [len(block.ids) for block in blocks] == [4, 4, 2]
    assert {block.header for block in blocks} == {whole.header}
    assert tuple(sample_id for block in blocks for sample_id in block.ids) == whole.ids
    assert tuple(row for block in blocks for row in block.cells) == whole.cells


def test_values_need_one_column_per_column_of_the_format(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="row '1': expected 1 cell for the columns label, got 2"):
        write_submission(tmp_path / "x.csv", np.array(["1"]), [(0.5, 0.5)], FORMAT)


def test_reading_keeps_ids_as_text_and_widens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text("id,class 0\n007,1\nNA,0\n1e3,0.25\n")
    assert read_cells(path).ids == ("007", "NA", "1e3")
    values = read(path, competition(1))
    assert values.dtype == np.float32
    assert values.tolist() == [[1.0], [0.0], [0.25]]


@pytest.mark.parametrize("name", ["again.csv.gz", "again.csv.zip", "again.csv"])
def test_a_submission_that_is_packed_reads_back_with_the_same_rows(name: str, tmp_path: Path) -> None:
    plain = tmp_path / "submission.csv"
    written = write_submission(plain, np.array(["a", "é"]), [("1 2",), ("",)], FORMAT)
    for copy in (tmp_path / f".1-{name}", tmp_path / f".2-{name}"):
        copy_submission(plain, copy, name=name)
        assert digest_of_cells(copy) == written
    assert (tmp_path / f".1-{name}").read_bytes() == (tmp_path / f".2-{name}").read_bytes()
    if name.endswith(".zip"):
        assert zipfile.ZipFile(tmp_path / f".1-{name}").namelist() == ["again.csv"]


def test_an_archive_of_two_files_or_of_none_is_no_submission(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "id,label\n")
        archive.writestr("b.csv", "id,label\n")
    with pytest.raises(SubmissionError, match=r"two\.zip: .*the archive holds 2 files"):
        digest_of_cells(path)
    path.write_bytes(b"no archive")
    with pytest.raises(SubmissionError, match=r"two\.zip: expected a CSV file.*not a zip file"):
        digest_of_cells(path)
