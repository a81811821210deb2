"""How values are read is decided once for a run, told, recorded, and used wherever its files are decoded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.images.decode import Pixels
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.testing.tasks import ToyTask, toy_of


def run_toy(task: ToyTask, data: Path, folder: Path, **options: object) -> RunResult:
    file = folder / f"toy_{task}.py"
    file.write_text(f"from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of({task!r})\n")
    return kaggle_ray.run(file, data=data, runs=folder / "runs", launcher="local", reporters=[], **options)  # type: ignore[arg-type]


def remarks_of(result: RunResult) -> list[str]:
    lines = [json.loads(line) for line in (result.run_dir / "events.jsonl").read_text().splitlines()]
    warned = [line["event"] for line in lines if line["kind"] == "run_warned"]
    return [event["text"] for event in warned if event["topic"] == "reading"]


def files_of(task: ToyTask, folder: Path) -> Path:
    data = folder / "data"
    data.mkdir(parents=True)
    prepare = toy_of(task).prepare
    assert prepare is not None
    prepare(data)
    return data


def pixels_of(path: Path) -> Pixels:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), dtype=np.uint8)


def deepen(files: Path, times: int) -> None:
    for path in sorted(files.glob("*.png")):
        assert cv2.imwrite(str(path), pixels_of(path).astype(np.uint16) * times)


def test_masks_of_two_tools_are_learnt_and_named(tmp_path: Path) -> None:
    data = files_of("masks", tmp_path)
    for path in sorted((data / "masks").glob("*.png"))[::3]:
        assert cv2.imwrite(str(path), (pixels_of(path) > 0).astype(np.uint8))
    result = run_toy("masks", data, tmp_path)
    assert result.score is not None
    assert result.score > 0.85
    (remark,) = remarks_of(result)
    assert "masks have no value above 1, while others of 8 bits reach 255" in remark
    saved = json.loads((result.run_dir / "reading.json").read_text())
    assert saved["masks"]["cuts"] == {"8 bits": [0, 127]}


@pytest.mark.parametrize("times", [16, 257])
def test_a_range_of_16_bits_is_learnt_and_new_rows_are_read_by_it(times: int, tmp_path: Path) -> None:
    data = files_of("regression", tmp_path)
    deepen(data / "images", times)
    result = run_toy("regression", data, tmp_path)
    assert result.score is not None
    assert result.score < 0.1
    assert len(remarks_of(result)) == (times == 16)
    new = tmp_path / "new"
    shutil.copytree(data, new)
    for path in (new / "images").glob("a*.png"):  # brighter images to train on say nothing of the run's
        assert cv2.imwrite(str(path), np.full((32, 32, 3), 30_000, dtype=np.uint16))
    again = kaggle_ray.predict(result.run_dir, data=new, out=tmp_path / "again.csv")
    assert again.read_bytes() == result.submission.read_bytes()
