from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kaggle_ray.data.opening import open_competition
from kaggle_ray.report.predicted_sheet import evenly_spaced, sheet_of_test, sheet_of_train
from kaggle_ray.testing.tasks import ToyTask, toy_of


@pytest.mark.parametrize("task", ["masks", "mask_classes", "heads", "multilabel"])
def test_every_kind_of_task_is_drawn_with_its_predictions(task: ToyTask, tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of(task), tmp_path / "data")
    num_columns = sum(head.num_outputs for head in competition.heads)
    if competition.mask is not None:
        num_columns *= competition.mask.height * competition.mask.width
    none, all_of_it = (np.full((3, num_columns), value, dtype=np.float32) for value in (0.0, 1.0))
    for sheet, ids in ((sheet_of_train, samples.train_ids[:3]), (sheet_of_test, samples.test_ids[:3])):
        one, other = (Image.open(io.BytesIO(sheet(competition, samples, ids, each))) for each in (none, all_of_it))
        assert one.size == other.size
        assert task == "mask_classes" or one.tobytes() != other.tobytes()


def test_the_samples_that_are_drawn_are_spread_over_all_of_them() -> None:
    assert evenly_spaced(101) == [0, 20, 40, 60, 80, 100]
    assert evenly_spaced(2) == [0, 1]
    assert evenly_spaced(1) == [0]
