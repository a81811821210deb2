"""What a submission says, drawn on its test images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.cli import main
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.reading import Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import SubmissionError
from kaggle_ray.report.submission_sheet import submission_sheets
from kaggle_ray.submission.rle import encode_rle
from kaggle_ray.testing.tasks import FULL, ToyTask, toy_of
from kaggle_ray.types import BoolArray


def opened(task: ToyTask, folder: Path) -> tuple[Competition, Samples]:
    competition, samples = open_competition(toy_of(task), folder / "data")
    return replace(competition, reading=competition.reading or Reading()), samples


def written(path: Path, header: str, rows: list[tuple[str, str]]) -> Path:
    path.write_text("\n".join([header, *(f"{name},{cell}" for name, cell in rows)]) + "\n")
    return path


def masks(num_rows: int) -> list[BoolArray]:
    """Return an empty mask, a full one, one of a single pixel, and squares."""
    found = [np.zeros((FULL, FULL), dtype=np.bool_) for _ in range(num_rows)]
    found[1][:] = True
    found[2][5, 9] = True
    for number, mask in enumerate(found[3:], start=3):
        mask[4 : 6 + number, 3 : 5 + number] = True
    return found


def test_masks_that_are_empty_full_or_tiny_are_shown_apart(tmp_path: Path) -> None:
    competition, samples = opened("masks", tmp_path)
    ids = samples.test_ids.tolist()
    rows = [(name, encode_rle(mask, "columns")) for name, mask in zip(ids, masks(len(ids)), strict=True)]
    sheets = submission_sheets(written(tmp_path / "masks.csv", "id,rle", rows), competition, samples)
    assert list(sheets) == [
        "Tiny masks (1 of 16)",
        "Masks of nearly all of the image (1 of 16)",
        "Masks from the smallest to the largest (15 of 16)",
        "Empty masks (1 of 16)",
    ]
    blue = (60, 120, 255)
    assert (sheets["Tiny masks (1 of 16)"] == blue).all(axis=-1).any(), "its one pixel leaves a trace"
    assert not (sheets["Empty masks (1 of 16)"] == blue).all(axis=-1).any()


def test_labels_are_shown_from_the_least_certain_to_the_most_certain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    competition, samples = opened("table", tmp_path)
    rows = [(name, f"{row / 16:.4f}") for row, name in enumerate(samples.test_ids.tolist())]
    file = written(tmp_path / "labels.csv", "id,high", rows)
    assert [title.partition(" (")[0] for title in submission_sheets(file, competition, samples)] == [
        "The least certain or smallest",
        "The most certain or largest",
    ]
    own = tmp_path / "toy_table.py"
    own.write_text("from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of('table')\n")
    words = ["show", str(own), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    main([*words, "--submission", str(file)])
    page = Path(capsys.readouterr().out.strip())
    assert page.read_text().count("data:image/png;base64,") == 2


def test_a_row_of_no_test_image_is_named(tmp_path: Path) -> None:
    competition, samples = opened("table", tmp_path)
    with pytest.raises(SubmissionError, match=r"row 'nobody': there is no such test image"):
        submission_sheets(written(tmp_path / "x.csv", "id,high", [("nobody", "0.5")]), competition, samples)


def test_show_needs_a_competition_or_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["show"])
    assert "name a COMPETITION, or a --model" in capsys.readouterr().err
    main(["show", "--model", "small_resnet", "--set", "image_size=16"])
    assert "for an image of 3 x 16 x 16" in " ".join(capsys.readouterr().out.split())
