"""Near-duplicates that are planted among real photographs are found, and no lookalikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.images.near_duplicates import find_near_duplicates
from kaggle_ray.testing.planted import judge, plant

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

DUPLICATES = {
    ("test_126.jpg", "train_320.jpg"),
    ("train_118.jpg", "train_91.jpg"),
    ("train_154.jpg", "train_282.jpg"),
}
"""Pairs of natural scenes that the data has twice, with another watermark: looked at by eye."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("dogs-vs-cats-redux-kernels-edition", "t*/*.jpg"),
        ("natural-scenes-multilabel", "t*-jpg/*.jpg"),
        ("tgs-salt-identification-challenge", "t*/images/*.png"),
        ("leaf-classification", "images/*.jpg"),
        ("carvana-image-masking-challenge", "t*/*.jpg"),
    ],
)
def test_near_duplicates_planted_among_real_photographs_are_found(folder: str, pattern: str, tmp_path: Path) -> None:
    originals = sorted((DATA / folder).glob(pattern))
    if not originals:
        pytest.skip(f"the files of {folder} are not here")
    num_near_duplicates = min(400, 4 * len(originals))
    planted = plant(originals, tmp_path, num_near_duplicates=num_near_duplicates, rng=np.random.default_rng(7))
    judged = judge(planted, find_near_duplicates(planted.samples, channels=3, cache_dir=tmp_path / "cache"))
    assert judged.num_near_duplicates > 0.95 * num_near_duplicates
    assert judged.recall >= 0.99, judged.missed
    wrong = {tuple(sorted(path.name for path in pair)) for pair in judged.wrong}
    assert wrong <= DUPLICATES
