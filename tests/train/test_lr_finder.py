from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.folds import make_folds
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import NonFiniteLossError
from kaggle_ray.images.cache import Images
from kaggle_ray.testing.toy import COMPETITION, TINY
from kaggle_ray.train import lr_finder
from kaggle_ray.train.fold_data import TrainingRows, hashes_of, train_inputs
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.lr_finder import find_lr, sweep_competition
from kaggle_ray.train.lr_sweep import LrSweep, lr_sweep
from kaggle_ray.types import Folds

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
BASE = parse_hyperparameters({**TINY, "epochs": 3}, where="here")


@pytest.fixture(scope="module")
def samples(toy_data: Path) -> Samples:
    return open_competition(COMPETITION, toy_data)[1]


@pytest.fixture(scope="module")
def folds(samples: Samples) -> Folds:
    return make_folds(COMPETITION.folds, samples, heads=COMPETITION.heads)


@pytest.fixture(scope="module")
def data(samples: Samples, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> FitData:
    inputs = train_inputs(COMPETITION, samples, (8, 8), tmp_path_factory.mktemp("cache"))
    rows = TrainingRows(competition=COMPETITION, samples=samples, target=samples.target, hashes=hashes_of(samples))
    return rows.of_fold(folds, 0, BASE, inputs=inputs, masks=None)


@pytest.fixture(scope="module")
def sweep(data: FitData) -> LrSweep:
    return find_lr(data, BASE, SETTINGS)


# The test itself ------------------------------------------------------------------------------------------------------


def test_the_suggested_rate_trains_nearly_as_well_as_the_best_and_better_than_a_much_smaller_one(
    data: FitData, sweep: LrSweep
) -> None:
    def loss(lr: float) -> float:
        return list(Fit(data, BASE.replace(lr=lr), SETTINGS).epochs())[-1].valid_loss

    assert sweep.suggestion is not None
    assert 1e-3 <= sweep.suggestion <= 3
    of_rates = {factor: loss(sweep.suggestion * factor) for factor in (1 / 100, 1 / 30, 1 / 10, 1 / 3, 1, 3)}
    assert of_rates[1] < 0.9 * of_rates[1 / 30]
    assert of_rates[1] < 1.15 * min(of_rates.values())


def test_the_rates_grow_by_the_same_factor_over_the_range(data: FitData, sweep: LrSweep) -> None:
    assert sweep.lrs[0] == pytest.approx(1e-7)
    ratios = np.diff(np.log(sweep.lrs))
    assert np.allclose(ratios, math.log(1e8) / 119)
    assert len(sweep.lrs) == len(sweep.losses) == len(sweep.smoothed) <= 120
    short = find_lr(data, BASE, SETTINGS, lowest=1e-5, highest=1e-3, num_steps=21)
    assert len(short.lrs) == 21
    assert [short.lrs[0], short.lrs[-1]] == pytest.approx([1e-5, 1e-3])


def test_it_is_a_function_of_its_arguments_and_of_neither_lr_nor_schedule(data: FitData, sweep: LrSweep) -> None:
    other = BASE.replace(lr=5.0, schedule="step", schedule_args={"every": 1})
    assert find_lr(data, other, SETTINGS) == sweep
    assert find_lr(data, BASE.replace(seed=1), SETTINGS) != sweep


def test_it_ends_where_the_loss_diverges(data: FitData) -> None:
    sgd = find_lr(data, BASE.replace(optimizer="sgd"), SETTINGS, highest=1e4)
    assert sgd.lrs[-1] < 1e3
    assert all(math.isfinite(loss) for loss in sgd.losses)


def test_the_first_loss_is_that_of_the_untrained_model_on_its_first_batch(data: FitData, sweep: LrSweep) -> None:
    """So real losses and batches are used: an epoch at a rate of nearly nothing measures the same."""
    epoch = next(Fit(data, BASE.replace(lr=1e-12, epochs=1), SETTINGS).epochs())
    num_batches = math.ceil(len(data.train_rows) / BASE.training.batch_size)
    assert np.mean(sweep.losses[:num_batches]) == pytest.approx(epoch.train_loss, rel=1e-3)


def test_noise_about_a_loss_of_nearly_nothing_is_not_taken_for_divergence(
    data: FitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = [0.7] * 10 + [0.01, 0.1] * 55
    monkeypatch.setattr(lr_finder, "_train", lambda *args, **kwargs: iter(losses))
    assert len(find_lr(data, BASE, SETTINGS).losses) == len(losses)
    monkeypatch.setattr(lr_finder, "_train", lambda *args, **kwargs: iter([*losses[:60], *[3.0] * 60]))
    assert len(find_lr(data, BASE, SETTINGS).losses) < 64


def test_a_loss_that_is_never_finite_is_an_error(data: FitData) -> None:
    without_a_value = np.full(len(data.target), np.nan, dtype=np.float32)
    with pytest.raises(NonFiniteLossError, match="not finite after 0 steps"):
        find_lr(dataclasses.replace(data, target=without_a_value), BASE, SETTINGS)


@pytest.mark.parametrize(
    "values",
    [
        {"start_size": 16, "image_size": 32},
        {"mixup": 0.4, "augment": "light"},
        {"layer_decay": 0.5, "optimizer": "rmsprop"},
        {"init_from": {"image_size": 32}, "freeze_epochs": 1},
    ],
    ids=["growing size", "mixtures", "layers", "a parent"],
)
def test_experiments_of_every_kind_can_be_tested(data: FitData, values: dict[str, Any]) -> None:
    side = values.get("image_size", 8)
    pixels = np.random.default_rng(0).integers(0, 256, (60, side, side, 3), dtype=np.uint8)
    larger = dataclasses.replace(data, inputs=dataclasses.replace(data.inputs, images=Images.of_array(pixels)))
    found = find_lr(larger, BASE.replace(**values), SETTINGS, num_steps=15)
    assert len(found.lrs) >= 10


def test_a_competition_is_tested_on_the_rows_of_its_first_fold(
    samples: Samples, folds: Folds, sweep: LrSweep, tmp_path: Path
) -> None:
    assert sweep_competition(COMPETITION, samples, folds, BASE, SETTINGS, tmp_path) == sweep


# No trace -------------------------------------------------------------------------------------------------------------


def process_state() -> list[Any]:
    return [
        torch.get_num_threads(),
        cv2.getNumThreads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark,
        torch.get_float32_matmul_precision(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]
    ]


def test_the_process_is_as_it_was(data: FitData) -> None:
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("medium")
    torch.manual_seed(12345)
    before = process_state()
    try:
        find_lr(data, BASE, SETTINGS, num_steps=12)
        assert process_state() == before
        with pytest.raises(RuntimeError):  # the toy's images are too small for this network
            find_lr(data, BASE.replace(model="resnet9", model_args={"stem_stride": 4}), SETTINGS)
        assert process_state() == before
    finally:
        torch.set_float32_matmul_precision("highest")


def test_nothing_is_written(data: FitData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    find_lr(data, BASE, SETTINGS, num_steps=12)
    assert not list(tmp_path.rglob("*"))


def test_the_hyperparameters_are_not_changed(data: FitData) -> None:
    given = parse_hyperparameters({**TINY, "epochs": 3}, where="here")
    find_lr(data, given, SETTINGS, num_steps=12)
    assert given == BASE


# The suggestion -------------------------------------------------------------------------------------------------------

LRS = np.logspace(-7, 1, 120)


def curve(middle: float, edge: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A loss that falls from 1 to 0.2 around ``middle`` and explodes from ``edge`` on."""
    return 0.2 + 0.8 / (1 + (LRS / middle) ** 2) + (LRS / edge) ** 2


@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
def test_the_suggestion_is_some_way_below_where_the_loss_rises(middle: float) -> None:
    found = lr_sweep(LRS.tolist(), curve(middle, 100 * middle).clip(max=3).tolist())
    assert found.suggestion is not None
    assert 5 * middle < found.suggestion < 100 * middle / 5


def sigmoid(exponent: float, width: float = 0.2) -> np.ndarray[Any, np.dtype[np.float64]]:
    """From 0 to 1 around a power of ten, over some decades."""
    return 1 / (1 + np.exp(-(np.log10(LRS) - exponent) / width))


RISE = 5 * sigmoid(-0.5)
SHAPES = {
    "a valley": (1 - 0.8 * sigmoid(-3) + RISE, 3e-3, 0.1),
    "a bad first layer is mended at once, and little is learnt after": (1 - 0.3 * sigmoid(-5) + RISE, 3e-3, 0.1),
    "most of the fall is early, the rest goes on for long": (
        1 - 0.6 * sigmoid(-5) - 0.3 * sigmoid(-3, 0.6) + RISE, 3e-3, 0.1,
    ),
    "a bump before the fall": (1 + 0.3 * sigmoid(-6) - 1.1 * sigmoid(-4) + RISE, 3e-3, 0.1),
    "it diverges at a small rate": (1 - 0.8 * sigmoid(-5) + 5 * sigmoid(-2.5), 3e-5, 1e-3),
    "it falls to the end": (1 - 0.8 * sigmoid(-1), 0.9, 1.1),
    "a low loss": (0.7 - 0.69 * sigmoid(-4) + RISE, 1e-3, 0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_made_the_loss_fall_the_suggestion_is_near_the_valleys_upper_edge(name: str, seed: int) -> None:
    losses, least, most = SHAPES[name]
    noise = 0.02 * np.random.default_rng(seed).standard_normal(len(LRS)) * losses
    found = lr_sweep(LRS.tolist(), (losses + noise).tolist())
    assert found.suggestion is not None
    assert least < found.suggestion < most


@pytest.mark.parametrize("seed", range(5))
def test_the_noise_of_batches_moves_the_suggestion_little(seed: int) -> None:
    clean = curve(1e-3, 0.1).clip(max=3)
    noisy = clean * (1 + 0.1 * np.random.default_rng(seed).standard_normal(len(LRS)))
    expected, found = lr_sweep(LRS.tolist(), clean.tolist()), lr_sweep(LRS.tolist(), noisy.tolist())
    assert expected.suggestion is not None
    assert found.suggestion is not None
    assert 0.5 < found.suggestion / expected.suggestion < 2


def test_the_smoothed_curve_does_not_lag() -> None:
    valley = np.abs(np.log10(LRS) + 3)  # lowest at 1e-3, alike on both sides
    found = lr_sweep(LRS.tolist(), valley.tolist())
    assert LRS[int(np.argmin(found.smoothed))] == pytest.approx(1e-3, rel=0.1)


@pytest.mark.parametrize("losses", [np.ones(120), np.linspace(1, 2, 120), 1 + LRS], ids=["flat", "rising", "exploding"])
def test_a_loss_that_does_not_fall_suggests_nothing(losses: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    assert lr_sweep(LRS.tolist(), losses.tolist()).suggestion is None
