"""Masks are written in parallel, and a killed write goes on: always the bytes of one that nothing stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.decide import Decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.metrics import DICE, MEAN_IOU
from kaggle_ray.rows import LazyRows
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.submission import mask_rows
from kaggle_ray.submission.cells import to_cells
from kaggle_ray.submission.draft import FOLDER, StoredParts, records_of
from kaggle_ray.submission.mask_rows import write_masks
from kaggle_ray.submission.submit import checked_draft
from kaggle_ray.submission.write import write_submission
from kaggle_ray.testing import toy
from kaggle_ray.types import FloatArray

NUM_ROWS = 40
IDS = np.array([f"car {number}, front" if number % 3 else f'"{number}"' for number in range(NUM_ROWS)])
SIZES = {str(sample_id): (12, 10 + number % 3) for number, sample_id in enumerate(IDS)}
RULE = Decision(kind="mask", parameters={"threshold": 0.5, "min_pixels": 2})


def competition(classes: tuple[str, ...], mask: MaskSize) -> Competition:
    head = Head(task="segmentation", classes=classes, metric=DICE if len(classes) == 1 else MEAN_IOU)
    columns = classes if len(classes) == 1 else classes[1:]
    fmt = SubmissionFormat(id_column="img", columns=columns, cells="rle", pixel_order="columns")
    return Competition(
        name="x", heads=(head,), read=toy.read, submission=fmt, default_space=toy.default_space, mask=mask
    )


CARS = competition(("car",), MaskSize(full_height=24, full_width=16, height=6, width=4))
OWN_SIZES = competition(("car",), replace(MaskSize(height=6, width=4), own_sizes=SIZES))
PARTS = competition(("background", "left", "right"), MaskSize(full_height=12, full_width=8, height=6, width=4))
CASES = {"one class": (CARS, RULE), "own sizes": (OWN_SIZES, RULE), "classes": (PARTS, Decision(kind="none"))}


def predictions(of: Competition, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).random((NUM_ROWS, of.num_columns)).astype(np.float32)


def expected(of: Competition, rule: Decision, values: FloatArray, path: Path) -> tuple[str, bytes]:
    digest = write_submission(path, IDS[: len(values)], to_cells(values, of, rule, ids=IDS), of.submission)
    return digest, path.read_bytes()


def stopped(values: FloatArray) -> LazyRows:
    """Return predictions in whose reading the process is stopped, at row 20."""

    def read(rows: Any) -> FloatArray:
        if 20 in rows:
            raise KeyboardInterrupt
        return np.asarray(values[rows], dtype=np.float32)

    return LazyRows(values.shape, read)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Count the rows that are made."""
    made: list[str] = []
    line = mask_rows._line

    def counting(sample_id: str, *args: Any, **named: Any) -> bytes:
        made.append(sample_id)
        return line(sample_id, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(mask_rows, "_line", counting)
        yield made


@pytest.mark.parametrize("num_threads", [1, 2, 5])
@pytest.mark.parametrize(("of", "rule"), CASES.values(), ids=CASES)
def test_any_number_of_threads_writes_the_same_bytes(
    of: Competition, rule: Decision, num_threads: int, tmp_path: Path
) -> None:
    values = predictions(of)
    digest, data = expected(of, rule, values, tmp_path / "plain.csv")
    path = tmp_path / "masks.csv"
    lazy = LazyRows(values.shape, lambda rows: values[rows])
    assert write_masks(path, IDS, lazy, of, rule, num_threads=num_threads) == digest
    assert path.read_bytes() == data


@pytest.mark.parametrize("cut", ["in a row", "after a row", "in a record", "before the first", "in the header"])
def test_a_killed_write_goes_on_from_what_is_whole(cut: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, path = predictions(CARS), tmp_path / "masks.csv"
    digest, data = expected(CARS, RULE, values, tmp_path / "plain.csv")
    write_masks(path, IDS, values, CARS, RULE)
    lines, records, header = data.splitlines(keepends=True), records_of(path).read_bytes(), len(b"img,car\n")
    kept = sum(map(len, lines[:26]))  # the header and 25 rows
    of_file, of_records, num_kept = {
        "in a row": (kept + 5, 25 * 24, 25),
        "after a row": (kept, 24 * 24, 24),  # the record was not written any more
        "in a record": (kept, 24 * 24 + 7, 24),
        "before the first": (header, 0, 0),
        "in the header": (3, 0, 0),
    }[cut]
    path.write_bytes(data[:of_file])
    records_of(path).write_bytes(records[:of_records])
    with counted(monkeypatch) as made:
        assert write_masks(path, IDS, values, CARS, RULE) == digest
    assert path.read_bytes() == data
    assert sorted(made) == sorted(IDS[num_kept:].tolist())


@pytest.mark.parametrize("what", ["a prediction", "the rule", "a damaged row", "an id", "fewer rows", "nothing"])
def test_rows_of_other_predictions_are_made_again(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, rule, path = predictions(CARS), RULE, tmp_path / "masks.csv"
    ids = IDS.copy()
    write_masks(path, ids, values, CARS, rule)
    num_same = {"a prediction": 7, "the rule": 0, "a damaged row": 9, "an id": 11, "fewer rows": 30, "nothing": 40}[
        what
    ]
    if what == "a prediction":
        values[7, 3] += 1e-6
    elif what == "the rule":
        rule = Decision(kind="mask", parameters={"threshold": 0.6, "min_pixels": 2})
    elif what == "a damaged row":
        lines = path.read_bytes().splitlines(keepends=True)
        lines[10] = lines[10].replace(b" ", b"1", 1)
        path.write_bytes(b"".join(lines))
    elif what == "an id":
        ids[11] = "another"
    elif what == "fewer rows":
        ids, values = ids[:30], values[:30]
    with counted(monkeypatch) as made:
        digest = write_masks(path, ids, values, CARS, rule)
    assert sorted(made) == sorted(ids[num_same:].tolist())
    plain = tmp_path / "plain.csv"
    assert digest == write_submission(plain, ids, to_cells(values, CARS, rule, ids=ids), CARS.submission)
    assert path.read_bytes() == plain.read_bytes()


def test_a_prediction_that_is_not_finite_is_refused_by_whichever_thread_meets_it(tmp_path: Path) -> None:
    values = predictions(CARS)
    values[33, 2] = np.nan
    with pytest.raises(SubmissionError, match=r"expected finite values, got nan in column 3"):
        write_masks(tmp_path / "masks.csv", IDS, values, CARS, RULE)


def test_a_draft_outlives_a_kill_and_goes_once_the_submission_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, kept = predictions(CARS), tmp_path / "run" / "drafts" / "submission"
    _, data = expected(CARS, RULE, values, tmp_path / "plain.csv")
    (tmp_path / CARS.submission.sample_file).write_bytes(data)

    monkeypatch.setattr("kaggle_ray.rows._BLOCK_VALUES", 10 * values.shape[1])
    with (
        pytest.raises(KeyboardInterrupt),
        checked_draft(stopped(values), RULE, CARS, IDS, tmp_path, kept=kept),
    ):
        raise AssertionError("nothing is whole")
    num_kept = len((kept / "draft.csv").read_bytes().splitlines()) - 1
    assert 0 < num_kept <= 20
    with counted(monkeypatch) as made, checked_draft(values, RULE, CARS, IDS, tmp_path, kept=kept) as draft:
        assert draft.read_bytes() == data
    assert len(made) == NUM_ROWS - num_kept
    assert not kept.exists()


@pytest.mark.parametrize("damage", ["none", "a prediction", "a part that is gone", "a cut part", "another header"])
def test_parts_in_a_store_outlive_a_kill_and_the_machine(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, blobs = predictions(CARS), LocalBlobs(tmp_path / "run")
    monkeypatch.setattr("kaggle_ray.rows._BLOCK_VALUES", 10 * values.shape[1])
    monkeypatch.setattr(mask_rows, "PART_BYTES", 300)
    _, data = expected(CARS, RULE, values, tmp_path / "plain.csv")
    (tmp_path / CARS.submission.sample_file).write_bytes(data)
    folder = tmp_path / "run" / FOLDER / "submission"

    def draft_of(of: Any) -> Any:  # each time as by another process, of which only the store is left
        return checked_draft(of, RULE, CARS, IDS, tmp_path, kept=StoredParts(blobs, "submission"))

    with pytest.raises(KeyboardInterrupt), draft_of(stopped(values)):
        raise AssertionError("nothing is whole")
    parts = sorted(folder.iterdir())
    num_rows = [part.read_bytes().count(b"\n") for part in parts]
    assert len(parts) > 2
    num_kept = {"none": None, "a prediction": 3, "another header": 0}.get(damage)
    if damage == "a prediction":
        values[3, 3] += 0.75
        write_submission(tmp_path / "plain.csv", IDS, to_cells(values, CARS, RULE, ids=IDS), CARS.submission)
        data = (tmp_path / "plain.csv").read_bytes()
    elif damage == "a part that is gone":
        parts[1].unlink()
    elif damage == "a cut part":
        parts[1].write_bytes(parts[1].read_bytes()[:-5])
    elif damage == "another header":
        parts[0].write_bytes(parts[0].read_bytes().replace(b"img,car", b"img,cat"))
    with counted(monkeypatch) as made, draft_of(values) as draft:
        assert draft.read_bytes() == data
    num_made = len(made)
    if num_kept is not None:
        assert num_made == NUM_ROWS - num_kept
    else:
        assert NUM_ROWS - 20 <= num_made < NUM_ROWS, num_rows
    assert not folder.exists()
