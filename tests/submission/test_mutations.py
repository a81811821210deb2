"""Good submissions, each spoilt in the ways in which files are spoilt: every one is caught, with row and reason."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.check_any import check_file
from kaggle_ray.submission.likeness import likeness

Lines = list[list[str]]
Mutation = Callable[[Lines], object]

IDS = [str(number) for number in range(1, 13)]
rng = np.random.default_rng(0)


def table(header: str, cells: list[list[str]]) -> Lines:
    return [header.split(","), *([sample_id, *row] for sample_id, row in zip(IDS, cells, strict=True))]


def shares(row: int) -> list[str]:
    first = row / 20
    return [f"{first:.3f}", "0.250", f"{0.75 - first:.3f}"]


CLASSES = table("id,cat,dog,owl", [shares(row) for row in range(12)])
ONE = table("id,label", [[f"{row / 12:.4f}"] for row in range(12)])
COUNTS = table("id,cells", [[str(row * 7 - 3)] for row in range(12)])
JOINED = table("id,scores", [[" ".join(shares(row))] for row in range(12)])
NAMES = table("id,breed", [[("cat", "dog", "owl")[row % 3]] for row in range(12)])
MASKS = table("id,rle_mask", [[f"{row + 1} 2 {row + 8} 5"] if row else [""] for row in range(12)])

SAMPLES = {
    "classes": table("id,cat,dog,owl", [["0.333", "0.333", "0.334"]] * 12),
    "one": table("id,label", [["0.5"]] * 12),
    "counts": table("id,cells", [["0"]] * 12),
    "joined": table("id,scores", [["0.333 0.333 0.334"]] * 12),
    "names": table("id,breed", [["cat"]] * 12),
    "masks": table("id,rle_mask", [["1 1"]] * 12),
}
GOOD = {"classes": CLASSES, "one": ONE, "counts": COUNTS, "joined": JOINED, "names": NAMES, "masks": MASKS}
SIZE = (4, 6)


def write(path: Path, lines: Lines, separator: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows(lines)
    return path


def cell(row: int, value: str, column: int = 1) -> Mutation:
    def mutate(lines: Lines) -> None:
        lines[row][column] = value

    return mutate


def swap_columns(lines: Lines) -> None:
    for line in lines:
        line[1], line[2] = line[2], line[1]


def with_index(lines: Lines) -> None:
    for number, line in enumerate(lines):
        line.insert(0, str(number - 1) if number else "")


def as_floats(lines: Lines) -> None:
    for line in lines[1:]:
        line[0] = f"{line[0]}.0"


def padded(lines: Lines) -> None:
    for line in lines[1:]:
        line[0] = line[0].zfill(3)


def by_text(lines: Lines) -> None:
    lines[1:] = sorted(lines[1:])


MUTATIONS: dict[str, tuple[str, Mutation, str]] = {
    "columns in another order": ("classes", swap_columns, "expected the header 'id,cat,dog,owl', got 'id,dog,cat,owl'"),
    "a column renamed": ("one", cell(0, "Label"), "expected the header 'id,label', got 'id,Label'"),
    "a header with a blank": ("one", cell(0, " label"), "got 'id, label'"),
    "an index column": ("one", with_index, "got ',id,label'"),
    "a column missing": ("classes", lambda lines: [line.pop() for line in lines], "got 'id,cat,dog'"),
    "no header": ("one", lambda lines: lines.pop(0), "got '1,0.0000'"),
    "a row missing": ("one", lambda lines: lines.pop(3), r"1 id is missing, such as \['3'\]"),
    "the last rows missing": ("one", lambda lines: lines.__delitem__(slice(-3, None)), "3 ids are missing"),
    "a row twice": ("one", lambda lines: lines.insert(4, lines[4]), r"more than once, such as \['4'\]"),
    "an id of nobody": ("one", cell(5, "77", 0), r"\['5'\]; 1 id is not in the sample submission, such as \['77'\]"),
    "ids as floats": ("one", as_floats, r"not in the sample submission, such as \['1.0'"),
    "ids with zeros before": ("one", padded, r"not in the sample submission, such as \['001'"),
    "an id with a blank": ("one", cell(5, "5 ", 0), r"not in the sample submission, such as \['5 '\]"),
    "ids sorted as text": ("one", by_text, "another order .* expected '2' in row 2, got '10'"),
    "rows in reverse": ("one", lambda lines: lines.__setitem__(slice(1, None), lines[:0:-1]), "expected '1' in row 1"),
    "a field too many": ("one", lambda lines: lines[4].append("0"), "row '4': expected 2 fields"),
    "a field too few": ("classes", lambda lines: lines[4].pop(), "row '4': expected 4 fields"),
    "NaN": ("one", cell(6, "NaN"), "row '6', column 'label': expected a finite number, got 'NaN'"),
    "an empty number": ("classes", cell(6, "", 2), "row '6', column 'dog': expected a finite number, got ''"),
    "infinity": ("counts", cell(6, "inf"), "row '6', column 'cells': expected a finite number, got 'inf'"),
    "a name for a number": ("one", cell(2, "dog"), "row '2', column 'label': expected a finite number, got 'dog'"),
    "a decimal comma": ("one", cell(2, "0,5"), "row '2', column 'label': expected a finite number, got '0,5'"),
    "a percent": ("one", cell(2, "50%"), "row '2', column 'label': expected a finite number, got '50%'"),
    "a tensor": ("one", cell(2, "tensor(0.5)"), "row '2', column 'label': expected a finite number, got 'tensor"),
    "a list": ("one", cell(2, "[0.5]"), r"row '2', column 'label': expected a finite number, got '\[0.5\]'"),
    "a probability above 1": ("one", cell(9, "1.0001"), "row '9', column 'label': expected a number from 0 to 1"),
    "a logit": ("classes", cell(9, "-3.2"), "row '9', column 'cat': expected a number from 0 to 1"),
    "percentages": ("one", cell(9, "73"), "row '9', column 'label': expected a number from 0 to 1"),
    "too few joined numbers": ("joined", cell(3, "0.5 0.5"), "row '3', column 'scores': expected 3 prob.* got 2"),
    "joined by commas": ("joined", cell(3, "0.2,0.3,0.5"), "row '3', column 'scores': expected 3 probabilities"),
    "joined with two blanks": ("joined", cell(3, "0.2  0.3 0.5"), "row '3', column 'scores': .* got 4"),
    "joined sum": ("joined", cell(3, "0.2 0.2 0.2"), "row '3', column 'scores': .* their sum is 0.6"),
    "joined NaN": ("joined", cell(3, "0.2 nan 0.2"), "row '3', column 'scores': expected a finite number, got 'nan'"),
    "a number for a name": ("names", cell(3, "2"), "row '3', column 'breed': expected a name, as in the sample"),
    "no name": ("names", cell(3, ""), "row '3', column 'breed': expected a name, got ''"),
    "a blank after a name": ("names", cell(3, "cat "), "row '3', column 'breed': expected a name without blanks"),
    "run lengths of odd number": ("masks", cell(3, "1 2 5"), "row '3', column 'rle_mask': .* pairs .* got 3"),
    "runs out of order": ("masks", cell(3, "9 2 1 2"), "row '3', column 'rle_mask': .* ascending runs .* got 9 2 1 2"),
    "runs that overlap": ("masks", cell(3, "1 5 3 2"), "row '3', column 'rle_mask': .* do not overlap"),
    "a run of nothing": ("masks", cell(3, "1 0"), "row '3', column 'rle_mask': .* at least 1 pixel .* got 1 0"),
    "pixels from 0": ("masks", cell(3, "0 2"), "row '3', column 'rle_mask': .* got 0 2"),
    "a run beyond the mask": ("masks", cell(3, "20 6"), "row '3', column 'rle_mask': .* 1..24 .* got 20 6"),
    "run lengths in brackets": ("masks", cell(3, "[1, 2]"), "row '3', column 'rle_mask': expected a whole number"),
    "a mask as NaN": ("masks", cell(3, "nan"), "row '3', column 'rle_mask': expected a whole number, got 'nan'"),
    "run lengths as floats": ("masks", cell(3, "1.0 2.0"), "row '3', column 'rle_mask': expected a whole number"),
}  # fmt: skip


def checked(folder: Path, kind: str, lines: Lines, *, like: Path | None = None) -> tuple[str, ...]:
    sample = write(folder / "sample.csv", SAMPLES[kind])
    return check_file(write(folder / "file.csv", lines), sample, mask_size=SIZE, like=like).warnings


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_file_passes_by_its_sample_alone(tmp_path: Path, kind: str) -> None:
    assert checked(tmp_path, kind, GOOD[kind]) == ()
    assert checked(tmp_path, kind, SAMPLES[kind]) == ()


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_corruption_is_caught_with_row_and_reason(tmp_path: Path, what: str) -> None:
    kind, mutate, message = MUTATIONS[what]
    lines = [list(line) for line in GOOD[kind]]
    mutate(lines)
    with pytest.raises(SubmissionError, match=message):
        checked(tmp_path, kind, lines)


def test_there_are_at_least_thirty_corruptions() -> None:
    assert len(MUTATIONS) >= 30


@pytest.mark.parametrize("separator", [";", "\t"])
def test_another_separator_is_caught(tmp_path: Path, separator: str) -> None:
    sample = write(tmp_path / "sample.csv", SAMPLES["classes"])
    with pytest.raises(SubmissionError, match="expected the header 'id,cat,dog,owl'"):
        check_file(write(tmp_path / "file.csv", CLASSES, separator), sample)


def test_rows_that_do_not_sum_to_one_as_the_samples_do_are_a_warning(tmp_path: Path) -> None:
    lines = [list(line) for line in CLASSES]
    lines[7][1] = "0.9"
    (warning,) = checked(tmp_path, "classes", lines)
    assert warning.startswith("row '7': the sum of its numbers is 1.6; 1 row is like that")


def test_a_file_that_is_packed_by_gzip_is_read_and_one_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", SAMPLES["one"])
    data = gzip.compress(write(tmp_path / "file.csv", ONE).read_bytes())
    packed = tmp_path / "file.csv.gz"
    packed.write_bytes(data)
    assert check_file(packed, sample).num_rows == 12
    packed.write_bytes(data[:-9])
    with pytest.raises(SubmissionError, match=r"file\.csv\.gz: expected a CSV file"):
        check_file(packed, sample)


def test_masks_without_a_size_are_checked_but_for_their_bounds(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.csv", SAMPLES["masks"])
    lines = [list(line) for line in MASKS]
    lines[3][1] = "20 6"
    found = check_file(write(tmp_path / "file.csv", lines), sample)
    assert found.told == ("rle_mask: run lengths of a mask whose size is not known",)


# The canary: the right answers under the ids of others ----------------------------------------------------------------


def shifted(rows: list[list[str]], order: list[int]) -> Lines:
    return [[line[0], *rows[source][1:]] for line, source in zip(rows, order, strict=True)]


def noisy(lines: Lines) -> Lines:
    return [lines[0], *([line[0], f"{min(1.0, float(line[1]) + 0.01 * rng.random()):.6f}"] for line in lines[1:])]


@pytest.mark.parametrize("kind", ["classes", "one", "counts", "joined", "masks"])
def test_the_same_answers_under_other_ids_are_caught(tmp_path: Path, kind: str) -> None:
    rows = GOOD[kind][1:]
    like = write(tmp_path / "like.csv", GOOD[kind])
    order = [1, 0, *range(2, 12)]
    with pytest.raises(SubmissionError, match=r"row '1' holds what .*like\.csv says of '2': .* Join them by id"):
        checked(tmp_path, kind, [GOOD[kind][0], *shifted(rows, order)], like=like)


MANY = [["id", "label"], *([str(number), f"{value:.6f}"] for number, value in enumerate(rng.random(300), start=1))]
ORDERS = {
    "row before": np.roll(np.arange(300), 1),
    "row after": np.roll(np.arange(300), -1),
    "reverse": np.arange(300)[::-1],
    "sorted as text": np.array(sorted(range(300), key=str)),
    "other way round": np.argsort(sorted(range(300), key=lambda row: str(row + 1))),
}


@pytest.mark.parametrize("what", ORDERS)
def test_another_models_answers_in_another_order_are_caught(tmp_path: Path, what: str) -> None:
    like = write(tmp_path / "like.csv", MANY)
    sample = write(tmp_path / "sample.csv", [MANY[0], *([line[0], "0.5"] for line in MANY[1:])])
    moved = noisy([MANY[0], *shifted(MANY[1:], ORDERS[what].tolist())])
    expected = rf"does not agree with .* with the answers .*{what}" if "text" not in what else "does not agree"
    with pytest.raises(SubmissionError, match=expected):
        check_file(write(tmp_path / "file.csv", moved), sample, like=like)


def test_another_models_answers_in_their_own_order_agree(tmp_path: Path) -> None:
    like = write(tmp_path / "like.csv", MANY)
    found = likeness(write(tmp_path / "file.csv", noisy(MANY)), like)
    assert found.kind == "correlation"
    assert found.value > 0.99
    assert found.misaligned is None


def test_answers_that_have_nothing_in_common_are_no_permutation(tmp_path: Path) -> None:
    other = [MANY[0], *([line[0], f"{rng.random():.6f}"] for line in MANY[1:])]
    found = likeness(write(tmp_path / "file.csv", other), write(tmp_path / "like.csv", MANY))
    assert abs(found.value) < 0.2
    assert found.misaligned is None


def test_masks_agree_by_their_overlap_and_names_by_equal_rows(tmp_path: Path) -> None:
    header = ["id", "rle"]
    mine = write(tmp_path / "mine.csv", [header, ["a", "1 4"], ["b", ""], ["c", "1 2 9 2"]])
    other = write(tmp_path / "other.csv", [header, ["a", "3 4"], ["b", ""], ["c", "1 2"]])
    found = likeness(mine, other)
    assert found.kind == "mean Dice"
    assert found.value == pytest.approx((0.5 + 1 + 2 / 3) / 3)
    names = likeness(write(tmp_path / "x.csv", NAMES), write(tmp_path / "y.csv", [*NAMES[:-1], ["12", "cat"]]))
    assert names.kind == "share of equal rows"
    assert names.value == pytest.approx(11 / 12)


def test_other_ids_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="the same header and ids"):
        likeness(write(tmp_path / "x.csv", NAMES), write(tmp_path / "y.csv", NAMES[:-1]))
