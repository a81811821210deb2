"""Masks of images that each have a size of their own: learnt, scored and submitted at these sizes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.errors import DataError
from kaggle_ray.submission.rle import decode_rle
from kaggle_ray.testing.submitted import read_cells
from kaggle_ray.testing.tasks import toy_of

SIDES = ((32, 32), (48, 32), (32, 72), (20, 28))
COMPETITION = """
from dataclasses import replace
from kaggle_ray import MaskSize
from kaggle_ray.testing.tasks import toy_of
COMPETITION = replace(toy_of("masks"), mask=MaskSize({full}height=16, width=16))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the toy's files, every image and mask resized to one of four sizes."""
    folder = tmp_path / "data"
    folder.mkdir()
    prepare = toy_of("masks").prepare
    assert prepare is not None
    prepare(folder)
    for kind in ("images", "masks"):
        for number, path in enumerate(sorted((folder / kind).glob("*.png"))):
            pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
            height, width = SIDES[number % 4]
            assert cv2.imwrite(str(path), cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST))
    return folder


def file_of(folder: Path, full: str) -> Path:
    file = folder / "own_sizes.py"
    file.write_text(COMPETITION.format(full=full))
    return file


def test_masks_are_submitted_and_scored_at_each_images_own_size(data: Path, tmp_path: Path) -> None:
    result = kaggle_ray.run(file_of(tmp_path, ""), data=data, runs=tmp_path / "runs", launcher="local", reporters=[])
    table = read_cells(result.submission)
    for sample_id, (cell,) in zip(table.ids, table.cells, strict=True):
        true = np.asarray(cv2.imread(str(data / "masks" / f"{sample_id}.png"), cv2.IMREAD_UNCHANGED)) > 0
        mask = decode_rle(cell, true.shape[0], true.shape[1], "columns")
        assert 2 * (mask & true).sum() / (mask.sum() + true.sum()) > 0.75
    assert result.ensemble is not None
    full_size = [row for row in (result.run_dir / "events.jsonl").read_text().splitlines() if "score_full_size" in row]
    assert '"score_full_size": null' not in full_size[-1]
    again = kaggle_ray.predict(result.run_dir, data=data, out=tmp_path / "again.csv")
    assert again.read_bytes() == result.submission.read_bytes()


def test_images_of_several_sizes_are_refused_where_one_is_declared(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"is 48 x 32 pixels, and the competition's MaskSize declares 32 x 32"
    ) as caught:
        kaggle_ray.run(
            file_of(tmp_path, "full_height=32, full_width=32, "),
            data=data, runs=tmp_path / "runs", launcher="local", reporters=[],
        )  # fmt: skip
    assert "leave full_height and full_width out of the competition's MaskSize" in str(caught.value)
