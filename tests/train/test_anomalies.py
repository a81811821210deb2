"""What goes wrong in training is named with its epoch, step and samples."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import kaggle_ray
from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds import make_folds
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.table import Table, idle_columns
from kaggle_ray.errors import ConfigError, DataError, NonFiniteLossError
from kaggle_ray.images.datasets import open_masks, open_target
from kaggle_ray.models import register_model, register_segmenter
from kaggle_ray.testing.tasks import ToyTask, toy_of
from kaggle_ray.train.anomalies import ConstantWatch, GradientWatch
from kaggle_ray.train.fold_data import TrainingRows, hashes_of, train_inputs
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.loop import Fit
from kaggle_ray.types import EpochMetrics, JsonValue, TrialWarning

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
CPU = torch.device("cpu")


def hyperparameters_of(task: ToyTask, **values: JsonValue) -> Hyperparameters:
    base = toy_of(task).default_space(SETTINGS).base
    return parse_hyperparameters({**base, "epochs": 2, **values}, where="here")


def data_of(task: ToyTask, folder: Path, hyperparameters: Hyperparameters) -> FitData:
    """Return the first fold of a toy task."""
    competition, samples = open_competition(toy_of(task), folder / task)
    folds = make_folds(competition.folds, samples, heads=competition.heads)
    sides, cache = hyperparameters.images.decoded_sides, folder / "cache"
    target, _ = open_target(competition, samples, cache)
    rows = TrainingRows(competition=competition, samples=samples, target=target, hashes=hashes_of(samples))
    inputs = train_inputs(competition, samples, sides, cache)
    return rows.of_fold(folds, 0, hyperparameters, inputs=inputs, masks=open_masks(competition, samples, sides, cache))


def history_of(data: FitData, hyperparameters: Hyperparameters) -> list[EpochMetrics]:
    return list(Fit(data, hyperparameters, SETTINGS).epochs())


def warnings_of(data: FitData, hyperparameters: Hyperparameters) -> list[TrialWarning]:
    warnings: list[TrialWarning] = []
    list(Fit(data, hyperparameters, SETTINGS, warn=warnings.append).epochs())
    return warnings


# The loss -----------------------------------------------------------------------------------------------------------


def with_a_spoilt_target(data: FitData) -> tuple[FitData, str]:
    """Return the data with one training row's first target missing, and the row's id."""
    row = data.train_rows[3]
    target = np.array(data.target[:], dtype=np.float64)
    target[row, 0] = np.nan
    assert data.sample_ids is not None
    return dataclasses.replace(data, target=target), str(data.sample_ids[row])


@pytest.mark.parametrize("task", ["multilabel", "heads"])
def test_a_loss_that_is_not_finite_names_its_sample(task: ToyTask, tmp_path: Path) -> None:
    hyperparameters = hyperparameters_of(task)
    data, spoilt = with_a_spoilt_target(data_of(task, tmp_path, hyperparameters))
    with pytest.raises(
        NonFiniteLossError, match=rf"epoch 1 is nan .*in step \d it is not finite at 1 of 16, such as {spoilt}\."
    ):
        history_of(data, hyperparameters)


def test_of_mixed_samples_the_partners_are_named_too(tmp_path: Path) -> None:
    hyperparameters = hyperparameters_of("multilabel", mixup=0.4, batch_size=32)
    data, spoilt = with_a_spoilt_target(data_of("multilabel", tmp_path, hyperparameters))
    with pytest.raises(
        NonFiniteLossError, match=r"not finite at 2 of 32, such as a.*, which were mixed with a"
    ) as caught:
        history_of(data, hyperparameters)
    own, partners = str(caught.value).split("which were mixed with")
    assert spoilt in own
    assert spoilt in partners


@pytest.mark.parametrize("task", ["masks", "mask_classes"])
def test_masks_are_named_too(task: ToyTask, tmp_path: Path) -> None:
    hyperparameters = hyperparameters_of(task, optimizer="sgd", lr=1e35, schedule="constant")
    with pytest.raises(NonFiniteLossError, match=r"in step 2 it is not finite at 16 of 16, such as a0\d\d, a0\d\d"):
        history_of(data_of(task, tmp_path, hyperparameters), hyperparameters)


def test_a_column_without_a_value_is_trained_on_and_named(tmp_path: Path) -> None:
    hyperparameters = hyperparameters_of("table")
    data = data_of("table", tmp_path, hyperparameters)
    assert data.inputs.table is not None
    table = data.inputs.table.copy()
    table[:, 1] = np.nan
    inputs = dataclasses.replace(data.inputs, table=table)
    assert all(
        np.isfinite(epoch.train_loss) for epoch in history_of(dataclasses.replace(data, inputs=inputs), hyperparameters)
    )
    assert idle_columns(Table(columns=("light", "striped"), values=table)) == ("striped",)
    table[:, 1] = 7
    assert idle_columns(Table(columns=("light", "striped"), values=table)) == ("striped",)


# Gradients ----------------------------------------------------------------------------------------------------------


def watch_of(
    layer: nn.Linear, warnings: list[TrialWarning], *, clip_norm: float = 0.0, fp16: bool = False
) -> GradientWatch:
    scaler = torch.amp.GradScaler("cpu", enabled=fp16)
    hyperparameters = parse_hyperparameters({"clip_norm": clip_norm}, where="here")
    ids = np.array(["a", "b", "c"])
    return GradientWatch(
        layer, ids, hyperparameters.optimizer.clip_norm, scaler=scaler, device=CPU, warn=warnings.append
    )


def step(watch: GradientWatch, layer: nn.Linear, norm: float, *, epoch: int = 1, number: int = 0) -> None:
    layer.weight.grad = torch.full_like(layer.weight, norm)
    watch.clip(epoch, number, np.array([2, 0]))


@pytest.fixture
def layer() -> nn.Linear:
    return nn.Linear(1, 1, bias=False)


def test_a_gradient_far_above_the_median_is_told_once_an_epoch(layer: nn.Linear) -> None:
    warnings: list[TrialWarning] = []
    watch = watch_of(layer, warnings, clip_norm=0.5)
    for norm in (1e6, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 900.0):  # the first ones are judged by nothing
        step(watch, layer, norm)
    assert not warnings
    for epoch, number in ((1, 9), (1, 10), (2, 0)):
        step(watch, layer, 5000.0, epoch=epoch, number=number)
    first, second = warnings
    assert first.text.startswith(
        "the gradient of epoch 1, step 10 has the norm 5e+03, 1000 times the usual 1 and more."
    )
    assert "It is scaled down to clip_norm 0.5, or look at the samples: c, a" in first.text
    assert second.text.startswith("the gradient of epoch 2, step 1 ")
    assert [(warning.topic, warning.epoch, warning.step) for warning in warnings] == [
        ("exploding_gradient", 1, 10),
        ("exploding_gradient", 2, 1),
    ]
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == pytest.approx(0.5, rel=1e-3)


def test_a_gradient_that_is_not_finite_is_told_at_once_but_not_of_float16(layer: nn.Linear) -> None:
    warnings: list[TrialWarning] = []
    step(watch_of(layer, warnings, clip_norm=1.0, fp16=True), layer, float("inf"))
    assert not warnings
    step(watch_of(layer, warnings), layer, float("nan"))
    assert "has the norm nan. Try clip_norm, such as 1.0, or a smaller lr" in warnings[0].text


def test_without_clipping_a_norm_is_computed_for_one_step_of_fifty(
    layer: nn.Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_computed = 0
    get = nn.utils.get_total_norm

    def counting(gradients: list[Tensor]) -> Tensor:
        nonlocal num_computed
        num_computed += 1
        return get(gradients)

    monkeypatch.setattr(nn.utils, "get_total_norm", counting)
    watch = watch_of(layer, [])
    for number in range(120):
        step(watch, layer, 1.0, number=number)
    assert num_computed == 3
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == 1.0


def test_an_epoch_has_the_median_of_its_own_norms_and_none_where_none_is_finite(layer: nn.Linear) -> None:
    watch = watch_of(layer, [], clip_norm=10.0)
    for epoch, norm in ((1, 2.0), (1, 4.0), (1, 9.0), (2, float("inf")), (3, 1.0), (3, float("nan"))):
        step(watch, layer, norm, epoch=epoch)
        told = watch.usual_norm(epoch)
        assert told == {2.0: 2.0, 4.0: 3.0, 9.0: 4.0, 1.0: 1.0}.get(norm, 1.0 if epoch == 3 else None)
    unclipped = watch_of(layer, [])
    for number in range(3):
        step(unclipped, layer, 5.0 + number, epoch=7, number=number)
    assert unclipped.usual_norm(7) == 5.0, "the first step of each epoch is looked at"


class SteepAtZero(nn.Module):
    """Predicts a finite value, whose gradient is infinite."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(1))
        self.layer = nn.Linear(3, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.layer(images.mean(dim=(2, 3)) + self.zero.sqrt())
        return values


@pytest.fixture
def _models() -> None:
    register_model("steep")(SteepAtZero)
    register_model("constant")(Constant)
    register_segmenter("constant_masks")(ConstantMasks)


@pytest.mark.usefixtures("_models")
def test_a_fit_that_nobody_listens_to_logs_the_step_that_spoils_the_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hyperparameters = hyperparameters_of("regression", model="steep", model_args={})
    with pytest.raises(NonFiniteLossError, match="step 2"):
        history_of(data_of("regression", tmp_path, hyperparameters), hyperparameters)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("the gradient of epoch 1, step 1 has the norm inf. Try clip_norm")
    assert record.getMessage().count(", a0") == 7  # eight of the batch's ids


# Predictions --------------------------------------------------------------------------------------------------------


class Constant(nn.Module):
    """Looks at nothing."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.layer(0 * images.mean(dim=(2, 3)))
        return values


class ConstantMasks(nn.Module):
    """Looks at nothing, and says the last class, or nothing of one."""

    def __init__(self, num_outputs: int, **shapes: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.linspace(-9, -6, num_outputs)[:, None, None])
        self.layer = nn.Conv2d(3, num_outputs, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.layer(0 * images) + self.offset
        return values


@pytest.mark.usefixtures("_models")
@pytest.mark.parametrize(
    ("task", "model", "message"),
    [
        ("multilabel", "constant", "after epoch 1 the predictions are the same for all 32 samples."),
        (
            "heads",
            "constant",
            "after epoch 1 the predictions of the head 'stripes' are the same for all 32 samples.",
        ),
        ("masks", "constant_masks", "after epoch 2 the masks of all 32 samples are empty in every pixel."),
        ("mask_classes", "constant_masks", "after epoch 2 the masks of all 32 samples are of class 'right' in"),
    ],
)
def test_predictions_that_are_all_alike_are_told_once(task: ToyTask, model: str, message: str, tmp_path: Path) -> None:
    hyperparameters = hyperparameters_of(task, model=model, model_args={}, lr=1e-4, epochs=4)
    (warning,) = warnings_of(data_of(task, tmp_path, hyperparameters), hyperparameters)
    assert warning.topic == "constant_predictions"
    assert warning.text.startswith(message)
    assert "Likely causes: " in warning.text


@pytest.mark.parametrize("task", ["multilabel", "regression", "heads", "table"])
def test_of_a_usual_fit_nothing_is_told(task: ToyTask, tmp_path: Path) -> None:
    hyperparameters = hyperparameters_of(task, epochs=4)
    assert not warnings_of(data_of(task, tmp_path, hyperparameters), hyperparameters)


def test_rounding_is_not_what_tells_samples_apart(tmp_path: Path) -> None:
    hyperparameters = hyperparameters_of("regression")
    data = data_of("regression", tmp_path, hyperparameters)
    small = np.array([[1e-9], [3e-9]], dtype=np.float32)
    warnings: list[TrialWarning] = []
    ConstantWatch(data, hyperparameters.training.epochs, warnings.append).see(1, small)
    ConstantWatch(data, hyperparameters.training.epochs, warnings.append).see(1, small[:1])
    assert not warnings
    ConstantWatch(data, hyperparameters.training.epochs, warnings.append).see(
        1, np.array([[100], [100.00001]], dtype=np.float32)
    )
    assert len(warnings) == 1


# Labels -------------------------------------------------------------------------------------------------------------


def reading(task: ToyTask, **values: object) -> Competition:
    """Return a toy whose read() gives other values."""
    toy = toy_of(task)
    return dataclasses.replace(toy, read=lambda folder: dataclasses.replace(toy.read(folder), **values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.array([0.0] * 5 + [np.nan] + [1.0] * 58), r"sample 'a005' has the label nan, expected 0\.\.1"),
        (np.array([0] * 5 + [2] + [1] * 58), r"sample 'a005' has the label 2, expected 0\.\.1"),
        (np.array([0.0] * 5 + [0.5] + [1.0] * 58), r"sample 'a005' has the label 0.5, expected 0\.\.1"),
        (np.array(["dark"] * 64), r"expected numbers as targets, got <U4, such as 'dark' of sample 'a000'\."),
    ],
)
def test_a_label_out_of_range_is_named_before_anything_is_trained(
    target: np.ndarray, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        open_competition(reading("views", target=target), tmp_path / "views")


def test_a_pixel_of_no_class_is_named_by_its_mask(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("mask_classes"), tmp_path / "data")
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[0, 5:7] = 255
    cv2.imwrite(str(tmp_path / "data/masks/a007.png"), mask)
    with pytest.raises(
        DataError, match=r"a007\.png: expected class numbers 0\.\.2, got 255 and the like in 2 of 1,024 pixels"
    ):
        open_target(competition, samples, tmp_path / "cache")


def test_label_smoothing_out_of_range_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'label_smoothing': expected from 0 to below 1, got 1\.5"):
        kaggle_ray.Hyperparameters(label_smoothing=1.5)
