from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.opening import open_competition
from kaggle_ray.testing.toy import COMPETITION, TINY
from kaggle_ray.train.estimate import seconds_per_trial
from kaggle_ray.types import JsonValue

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")


@pytest.mark.parametrize(
    "values",
    [
        {"schedule": "snapshot", "schedule_args": {"num_cycles": 5}},
        {"init_from": {"seed": 1}, "freeze_epochs": 4},
        {"schedule": "by_epoch", "schedule_args": {"1": 0.1, "8": 0.01}},
    ],
    ids=["snapshot", "frozen", "by epoch"],
)
def test_a_trial_of_any_schedule_is_estimated(toy_data: Path, values: dict[str, JsonValue]) -> None:
    hyperparameters = parse_hyperparameters({**TINY, "epochs": 10, **values}, where="here")
    assert seconds_per_trial(COMPETITION, open_competition(COMPETITION, toy_data)[1], hyperparameters, SETTINGS) > 0
