from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.opening import open_competition
from kaggle_ray.testing.toy import COMPETITION, TINY
from kaggle_ray.train.estimate import estimate
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
    found = estimate(COMPETITION, open_competition(COMPETITION, toy_data)[1], hyperparameters, SETTINGS)
    assert found.trial_s > 0
    assert not found.features_s


def test_frozen_features_are_estimated_once_for_all_that_take_them_and_none_of_noise_are_kept(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaggle_ray.train.predict.default_cache_dir", lambda: tmp_path)
    probe: dict[str, JsonValue] = {
        "model": "timm/tf_efficientnet_lite0", "pretrained": True, "freeze": "backbone", "head": {"pooling": "avg"},
        "image_size": 16, "batch_size": 4,
    }  # fmt: skip
    samples = open_competition(COMPETITION, toy_data)[1]
    views: dict[str, JsonValue] = {"augment": "flip", "tta": "hflip"}
    copies: dict[str, JsonValue] = {"lr": 1e-2, "augment": "light", "augment_copies": 3}
    of_views, of_copies = (
        estimate(COMPETITION, samples, parse_hyperparameters({**probe, **values}, where="here"), SETTINGS).features_s
        for values in (views, copies)
    )
    assert (len(of_views), len(of_copies)) == (2, 4)
    assert len(of_views.keys() & of_copies.keys()) == 1
    assert min([*of_views.values(), *of_copies.values()]) > 0
    assert not list(tmp_path.iterdir())


def test_the_rows_that_a_trial_predicts_in_the_end_take_time_too(toy_data: Path) -> None:
    hyperparameters = parse_hyperparameters({**TINY, "epochs": 1}, where="here")
    samples = open_competition(COMPETITION, toy_data)[1]
    more = dataclasses.replace(
        samples,
        test_ids=np.array([f"t{number}" for number in range(50_000)]),
        test_paths=samples.test_paths[:1] * 50_000,
    )
    few, many = (estimate(COMPETITION, each, hyperparameters, SETTINGS).trial_s for each in (samples, more))
    assert many > 3 * few
