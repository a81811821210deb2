from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.data.opening import open_competition
from kaggle_ray.images.datasets import open_target
from kaggle_ray.rows import LazyRows
from kaggle_ray.testing.tasks import ToyTask, toy_of


@pytest.mark.parametrize("task", ["masks", "mask_classes"])
def test_the_target_of_masks_is_read_from_the_cache_and_without_one_is_decoded_once(
    task: ToyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition, samples = open_competition(toy_of(task), tmp_path / "data")
    cached, num_decoded = open_target(competition, samples, tmp_path / "cache")
    assert isinstance(cached, LazyRows)
    assert num_decoded > 0
    monkeypatch.setenv("KAGGLE_RAY_CACHE_GIB", "0")
    whole, num_decoded = open_target(competition, samples, tmp_path / "no cache")
    assert isinstance(whole, np.ndarray)
    assert num_decoded == len(samples.train_ids)
    assert whole.dtype == np.uint8
    assert whole.max() == len(competition.classes) - (task == "mask_classes")
    rows = np.array([9, 0, 0, 33])
    assert cached[rows].tolist() == whole[rows].tolist()
    assert cached[:].tobytes() == whole.tobytes()


def test_a_target_of_numbers_is_what_the_samples_have(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("regression"), tmp_path / "data")
    target, num_decoded = open_target(competition, samples, tmp_path / "cache")
    assert target is samples.target
    assert num_decoded == 0
