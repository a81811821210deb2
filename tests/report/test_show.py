from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.data.opening import open_competition
from kaggle_ray.report.show import contact_sheets
from kaggle_ray.testing.tasks import ToyTask, toy_of


@pytest.mark.parametrize("task", ["masks", "mask_classes", "heads", "multilabel", "views"])
def test_a_page_of_its_own_shows_every_kind_of_task(task: ToyTask, tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of(task), tmp_path / "data")
    page = contact_sheets(competition, samples, out=tmp_path / "show", recipes=["light"])
    html = page.read_text()
    assert {path.name for path in page.parent.iterdir()} == {"show.html", "samples.png", "augment-light.png"}
    assert html.count("data:image/png;base64,") == 2
    assert "http://" not in html
    assert "https://" not in html
    assert f"toy_{task}" in html
    assert "<p>None.</p>" in html


def test_what_decides_comes_before_the_pictures(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("regression"), tmp_path / "data")
    html = contact_sheets(competition, samples, out=tmp_path / "show", recipes=["none"]).read_text()
    first = [
        html.index(f"<h2>{title}</h2>")
        for title in ("Sizes and kinds of file", "Near-duplicates", "Classes", "Samples")
    ]
    assert first == sorted(first)


def test_a_file_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("regression"), tmp_path / "data")
    bad = tmp_path / "data/images/a003.png"
    bad.write_bytes(b"")
    html = contact_sheets(competition, samples, out=tmp_path / "show", recipes=["none"]).read_text()
    assert f"{bad}: does not decode" in html
    assert "--skip-unreadable" in html


def test_channels_that_differ_between_train_and_test_are_marked(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    competition, samples = open_competition(toy_of("regression"), tmp_path / "data")
    assert "differs" not in contact_sheets(competition, samples, out=tmp_path / "a", recipes=["none"]).read_text()
    for path in (tmp_path / "data/images").glob("b*.png"):
        cv2.imwrite(str(path), np.full((32, 32, 3), 250, dtype=np.uint8))
    assert "differs" in contact_sheets(competition, samples, out=tmp_path / "b", recipes=["none"]).read_text()


def test_how_masks_are_read_is_shown_and_what_could_be_meant_otherwise(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("masks"), tmp_path / "data")
    assert samples.train_masks is not None
    numbers = np.zeros((32, 32), dtype=np.uint8)
    numbers[4:9], numbers[20:25] = 1, 2
    for path in samples.train_masks:
        cv2.imwrite(str(path), numbers)
    page = contact_sheets(competition, samples, out=tmp_path / "show", recipes=["none"]).read_text()
    assert "masks hold 1, 2: whatever is not 0 is read as foreground: a000.png" in page
    assert "<td>masks of 8 bits</td><td>foreground above</td><td>0</td>" in page


def test_masks_that_a_run_would_refuse_are_shown_with_the_reason(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("masks"), tmp_path / "data")
    assert samples.train_masks is not None
    for path in samples.train_masks:
        cv2.imwrite(str(path), np.full((32, 32), 3, dtype=np.uint8))
    page = contact_sheets(competition, samples, out=tmp_path / "show", recipes=["none"]).read_text()
    assert "A run would stop here: no pixel of" in page


def test_arrays_that_a_reader_reads_are_shown_and_measured(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("regression"), tmp_path / "data")
    for number, path in enumerate(sorted((tmp_path / "data/images").iterdir())):
        with path.open("wb") as file:
            np.save(file, np.full((32, 32, 3), 1000.0 + number, dtype=np.float32))
    scans = dataclasses.replace(competition, reader="npy")
    html = contact_sheets(scans, samples, out=tmp_path / "show", recipes=["none"]).read_text()
    assert "<td>1031.5</td>" in html
