from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.folds import make_folds
from kaggle_ray.data.opening import open_competition
from kaggle_ray.errors import ConfigError, NonFiniteLossError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.images.datasets import open_train
from kaggle_ray.images.decode import Pixels
from kaggle_ray.testing.toy import COMPETITION, TINY
from kaggle_ray.train.batches import Batch, EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loading import load
from kaggle_ray.train.loop import Fit
from kaggle_ray.types import EpochMetrics, IntArray, JsonValue

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
BASE = parse_hyperparameters({**TINY, "epochs": 3, "lr": 1e-2}, where="here")


@pytest.fixture(scope="module")
def folds_data(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[FitData]:
    """The toy competition's data for each of its folds; row 5 is train-only."""
    samples = open_competition(COMPETITION, toy_data)[1]
    samples = dataclasses.replace(samples, train_only=np.arange(len(samples.train_ids)) == 5)
    folds = make_folds(COMPETITION.folds, samples, heads=COMPETITION.heads)
    sides = BASE.images.decoded_sides
    images = open_train(COMPETITION, samples, sides, tmp_path_factory.mktemp("cache"))
    return [
        FitData(
            inputs=Inputs(images=images),
            target=samples.target,
            train_rows=folds.train_rows(fold),
            valid_rows=folds.valid_rows(fold),
            heads=COMPETITION.heads,
            id_hashes=id_hashes(samples.train_ids.tolist()),
            metric=COMPETITION.metric,
            fold=fold,
        )
        for fold in range(folds.num_folds)
    ]


@pytest.fixture
def data(folds_data: list[FitData]) -> FitData:
    return folds_data[0]


def fitted(
    data: FitData, hyperparameters: Hyperparameters = BASE, settings: Settings = SETTINGS
) -> tuple[list[EpochMetrics], Fit]:
    fit = Fit(data, hyperparameters, settings)
    return list(fit.epochs()), fit


def weights(of: Fit) -> bytes:
    return b"".join(tensor.contiguous().numpy().tobytes() for tensor in of.weights.values())


def losses(history: list[EpochMetrics]) -> list[tuple[float, float, float]]:
    return [(epoch.train_loss, epoch.valid_loss, epoch.score) for epoch in history]


def changed(hyperparameters: Hyperparameters = BASE, **values: JsonValue) -> Hyperparameters:
    return hyperparameters.replace(**values)


# The same bits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hyperparameters",
    [
        BASE,
        changed(augment="heavy", mixup=0.4, ema_decay=0.9, label_smoothing=0.1),
        changed(optimizer="sgd", schedule="cosine", augment="shift"),
        changed(model_args={"width": 4, "blocks": [1], "dropout": 0.5}),
    ],
)
def test_two_fits_in_one_process_give_the_same_bits(data: FitData, hyperparameters: Hyperparameters) -> None:
    first_history, first = fitted(data, hyperparameters)
    torch.rand(7), np.random.rand(7), random.random()
    second_history, second = fitted(data, hyperparameters)
    assert losses(first_history) == losses(second_history)
    assert weights(first) == weights(second)


def test_what_another_fit_does_in_between_does_not_matter(folds_data: list[FitData]) -> None:
    _, alone = fitted(folds_data[0])
    one, other = Fit(folds_data[0], BASE, SETTINGS), Fit(folds_data[1], BASE, SETTINGS)
    next(other.epochs())
    list(one.epochs())
    assert weights(one) == weights(alone)


def test_another_seed_or_fold_gives_other_weights(folds_data: list[FitData]) -> None:
    # Fold 0's rows under another number: what differs is the fold's share in the seeds alone.
    renamed = dataclasses.replace(folds_data[0], fold=1)
    found = {
        weights(fitted(folds_data[0])[1]),
        weights(fitted(folds_data[0], changed(seed=1))[1]),
        weights(fitted(folds_data[1])[1]),
        weights(fitted(renamed)[1]),
    }
    assert len(found) == 4


def test_bfloat16_is_deterministic_and_near(data: FitData) -> None:
    half = Settings(device="cpu", threads_per_trial=1, dtype="bfloat16")
    history, first = fitted(data, BASE, half)
    _, second = fitted(data, BASE, half)
    assert weights(first) == weights(second)
    assert all(tensor.dtype != torch.bfloat16 for tensor in first.weights.values())
    assert [epoch.train_loss for epoch in history] == pytest.approx(
        [epoch.train_loss for epoch in fitted(data)[0]], abs=0.05
    )


# Which rows ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def yielded(monkeypatch: pytest.MonkeyPatch) -> list[list[IntArray]]:
    """The rows of every batch that was really loaded, per epoch."""
    epochs: list[list[IntArray]] = []
    get = EpochBatches.__getitem__

    def recording(self: EpochBatches, number: int) -> Batch:
        batch = get(self, number)
        if number == 0:
            epochs.append([])
        epochs[-1].append(batch.rows)
        return batch

    monkeypatch.setattr(EpochBatches, "__getitem__", recording)
    return epochs


@pytest.mark.parametrize("batch_size", [7, 16, 30, 1000])
def test_every_training_row_is_yielded_exactly_once_per_epoch_and_never_a_valid_row(
    folds_data: list[FitData], yielded: list[list[IntArray]], batch_size: int
) -> None:
    for data in folds_data:
        yielded.clear()
        _, done = fitted(data, changed(batch_size=batch_size))
        assert len(yielded) == BASE.training.epochs
        for batches in yielded:
            assert sorted(np.concatenate(batches).tolist()) == data.train_rows.tolist()
            assert all(1 <= len(batch) <= batch_size for batch in batches)
            assert max(map(len, batches)) - min(map(len, batches)) <= 1
        assert np.flatnonzero(done.state.trained_rows).tolist() == data.train_rows.tolist()
        assert not done.state.trained_rows[data.valid_rows].any()
        assert len(done.state.trained_rows) == len(data.target)


def test_each_epoch_has_an_order_of_its_own(data: FitData, yielded: list[list[IntArray]]) -> None:
    fitted(data)
    orders = {tuple(np.concatenate(batches).tolist()) for batches in yielded}
    assert len(orders) == BASE.training.epochs


def test_a_rows_augmentation_does_not_depend_on_the_batch_that_it_comes_in(data: FitData) -> None:
    together = pixels_of(data, changed(augment="heavy", batch_size=100), epoch=1)
    alone = pixels_of(data, changed(augment="heavy", batch_size=1), epoch=1)
    assert all(np.array_equal(together[row], alone[row]) for row in data.train_rows.tolist())
    later = pixels_of(data, changed(augment="heavy", batch_size=100), epoch=2)
    assert not any(np.array_equal(together[row], later[row]) for row in data.train_rows.tolist())


@pytest.mark.parametrize("recipe", ["heavy", "medium"])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_loader_workers_change_no_bit(data: FitData, recipe: str, num_workers: int) -> None:
    batches = EpochBatches(data, changed(augment=recipe), 1, uses_images=True)
    workers = dataclasses.replace(SETTINGS, loader_workers=num_workers)
    for here, there in zip(load(batches, SETTINGS), load(batches, workers), strict=True):
        assert np.array_equal(here.rows, there.rows)
        assert np.array_equal(here.pixels, there.pixels)
        assert np.array_equal(here.keys, there.keys)


@pytest.mark.parametrize("recipe", ["heavy", "medium"])
@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 3), (2, 1), (2, 2)])
def test_ranks_and_pieces_read_the_same_samples_to_the_bit(
    data: FitData, recipe: str, world_size: int, accumulate: int
) -> None:
    whole = list(load(EpochBatches(data, changed(augment=recipe), 1, uses_images=True), SETTINGS))
    hyperparameters = changed(augment=recipe, accumulate=accumulate)
    parts = [
        list(load(EpochBatches(data, hyperparameters, 1, uses_images=True, rank=rank, world_size=world_size), SETTINGS))
        for rank in range(world_size)
    ]
    for batch in whole:
        pieces = [piece for of_rank in parts for piece in of_rank if piece.step == batch.step]
        assert len(pieces) == world_size * accumulate
        assert {piece.num_in_step for piece in pieces} == {len(batch.rows)}
        for name in ("rows", "pixels", "target", "keys"):
            assert np.array_equal(np.concatenate([getattr(p, name) for p in pieces]), getattr(batch, name))


def pixels_of(data: FitData, hyperparameters: Hyperparameters, *, epoch: int) -> dict[int, Pixels]:
    """Return what an epoch makes of each row."""
    batches = EpochBatches(data, hyperparameters, epoch, uses_images=True)
    return {
        row: image for batch in load(batches, SETTINGS) for row, image in zip(batch.rows, batch.pixels, strict=True)
    }


def test_rows_of_the_fold_that_are_scored_do_not_reach_the_weights(data: FitData) -> None:
    spoilt = data.inputs.read(np.arange(len(data.target)))
    spoilt[data.valid_rows] = 0
    target = data.target[:].copy()
    target[data.valid_rows] = 1 - target[data.valid_rows]
    _, clean = fitted(data)
    _, other = fitted(dataclasses.replace(data, inputs=Inputs(images=Images.of_array(spoilt)), target=target))
    assert weights(clean) == weights(other)


# Epochs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_epochs", [0, 1, 2])
def test_a_fit_can_be_closed_after_any_epoch_and_done_again(data: FitData, num_epochs: int) -> None:
    epochs = Fit(data, BASE, SETTINGS).epochs()
    seen = [next(epochs) for _ in range(num_epochs)]
    history, _ = fitted(data)
    assert losses(seen) == losses(history)[:num_epochs]


def test_every_epoch_is_measured(data: FitData) -> None:
    history, _ = fitted(data)
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert all(epoch.duration_s > 0 and epoch.lr > 0 for epoch in history)
    assert all((epoch.samples_per_s or 0) > len(data.train_rows) / epoch.duration_s for epoch in history)
    assert all((epoch.resident_bytes or 0) > 50 * 2**20 and epoch.gpu_peak_bytes is None for epoch in history)
    assert all(np.isfinite([epoch.train_loss, epoch.valid_loss, epoch.score]).all() for epoch in history)
    # The toy's metric is the very log loss that is trained on, without smoothing and augmentation.
    assert [epoch.valid_loss for epoch in history] == pytest.approx([epoch.score for epoch in history], rel=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"label_smoothing": 0.3},
        {"mixup": 0.8, "label_smoothing": 0.1},
        {"loss": "focal", "loss_args": {"gamma": 3.0}},
        {"loss": "cross_entropy", "loss_args": {"class_weights": [1.0, 7.0]}},
        {"loss": "bce", "loss_args": {"pos_weight": 5.0}},
        {"distill_from": {"seed": 7}, "distill_weight": 0.9},
    ],
)
def test_whatever_is_minimised_rows_that_are_not_trained_on_are_measured_by_the_plain_loss(
    data: FitData, values: dict[str, JsonValue]
) -> None:
    if "distill_from" in values:
        data = dataclasses.replace(data, teacher=np.full((len(data.target), 1), 0.4, dtype=np.float32))
    history, _ = fitted(data, BASE.replace(**values))
    assert [epoch.valid_loss for epoch in history] == pytest.approx([epoch.score for epoch in history], rel=1e-4)


def test_the_loss_falls(data: FitData) -> None:
    history, _ = fitted(data, changed(epochs=15))
    assert history[-1].train_loss < 0.6 * history[0].train_loss
    assert history[-1].score < 0.4


def test_the_moving_average_predicts_where_it_is_asked_for(data: FitData) -> None:
    _, last = fitted(data, changed(epochs=5))
    _, averaged = fitted(data, changed(epochs=5, ema_decay=0.9))
    assert weights(last) != weights(averaged)


def test_the_mean_of_the_last_epochs_predicts_where_it_is_asked_for(data: FitData) -> None:
    _, last = fitted(data, changed(epochs=4))
    _, of_one = fitted(data, changed(epochs=4, swa_epochs=1))
    _, of_three = fitted(data, changed(epochs=4, swa_epochs=3))
    rows = data.valid_rows
    values = [fit.predictor.values(data.inputs, rows) for fit in (last, of_one, of_three)]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_a_growing_size_is_trained_at(data: FitData, monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    get = EpochBatches.__getitem__

    def recording(self: EpochBatches, number: int) -> Batch:
        batch = get(self, number)
        sides.append(batch.pixels.shape[1])
        return batch

    monkeypatch.setattr(EpochBatches, "__getitem__", recording)
    pixels = data.inputs.read(np.arange(len(data.target))).repeat(6, axis=1).repeat(6, axis=2)
    larger = dataclasses.replace(data, inputs=Inputs(images=Images.of_array(pixels)))
    fitted(larger, changed(image_size=48, start_size=16, epochs=6, batch_size=100))
    assert sides == sorted(sides)
    assert (sides[0], sides[-1]) == (16, 48)


def test_a_loss_that_is_not_finite_ends_the_fit_with_the_next_step(data: FitData) -> None:
    with pytest.raises(NonFiniteLossError, match=r"the loss of epoch \d is (nan|inf) at lr 1e\+35\. Try a smaller lr"):
        fitted(data, changed(lr=1e35, optimizer="sgd"))


@pytest.fixture
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("_no_gpu")
def test_settings_for_a_gpu_that_torch_does_not_see_are_an_error(data: FitData) -> None:
    gpu = Settings(device="cuda", threads_per_trial=1, dtype="float32")
    with pytest.raises(ConfigError, match=r"torch sees no GPU in this process\. Use --device cpu"):
        Fit(data, BASE, gpu)


# What is trained how fast, and when -----------------------------------------------------------------------------------


def test_while_frozen_only_the_head_leaves_the_weights_that_it_started_from(data: FitData) -> None:
    _, parent = fitted(data)
    hyperparameters = changed(init_from={"seed": 7}, freeze_epochs=2, epochs=2, weight_decay=0.5)
    frozen = Fit(data, hyperparameters, SETTINGS, initial_weights=parent.weights)
    list(frozen.epochs())
    moved = {name for name, tensor in frozen.weights.items() if not torch.equal(tensor, parent.weights[name])}
    assert moved == {"network.head.weight", "network.head.bias"}

    thawed = Fit(data, changed(hyperparameters, epochs=3), SETTINGS, initial_weights=parent.weights)
    list(thawed.epochs())
    moved = {name for name, tensor in thawed.weights.items() if not torch.equal(tensor, parent.weights[name])}
    assert "network.stem.0.weight" in moved


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adam", "nadam", "radam", "rmsprop", "adagrad"])
def test_every_optimizer_fits_with_rates_by_layer(data: FitData, optimizer: str) -> None:
    history, _ = fitted(data, changed(optimizer=optimizer, layer_decay=0.7, lr=3e-3))
    assert history[-1].train_loss < history[0].train_loss


@pytest.mark.parametrize(
    ("schedule", "args", "lrs"),
    [
        ("step", {"every": 1, "gamma": 0.1}, [1e-2, 1e-3, 1e-4]),
        ("by_epoch", {"2": 5e-3, "3": 1e-3}, [1e-2, 5e-3, 1e-3]),
        ("plateau", {"patience": 0, "gamma": 0.5}, [1e-2, 1e-2, 1e-2]),
    ],
)
def test_an_epoch_tells_the_rate_of_its_last_step(
    data: FitData, schedule: str, args: dict[str, float], lrs: list[float]
) -> None:
    history, _ = fitted(data, changed(schedule=schedule, schedule_args=args))
    assert [epoch.lr for epoch in history] == pytest.approx(lrs)
