"""A linear probe: a frozen backbone's features are computed once, and train the head that they would have trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import Tensor

from kaggle_ray.cache.entries import EntryUse
from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.predict import View
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.images.joined import ImageRows
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.models import Shapes, build_model
from kaggle_ray.models.head import HeadedNetwork, PooledNetwork
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.features import FrozenFeatures
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loading import load
from kaggle_ray.train.loop import Fit
from kaggle_ray.types import FloatArray, JsonValue

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
KIND = Head(task="multiclass", classes=("a", "b", "c"), metric=LOG_LOSS)
PROBE: dict[str, JsonValue] = {
    "model": "small_resnet", "model_args": {"width": 4, "blocks": [1], "dropout": 0.5}, "image_size": 12,
    "head": {"pooling": "avgmax", "hidden": [5], "dropout": 0.2}, "batch_size": 8, "epochs": 3, "lr": 1e-2,
    "freeze": "backbone", "init_from": {"epochs": 1}, "tta": "hflip", "ema_decay": 0.5,
}  # fmt: skip

STAGES: dict[str, JsonValue] = {"freeze": "stages", "freeze_stages": 1}
"""What comes behind the first stage is trained on what that gives."""


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("kaggle_ray.train.predict.default_cache_dir", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def num_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the images that go through a backbone."""
    counted: list[int] = []
    own_features, own_forward = PooledNetwork.features, PooledNetwork.forward

    def features(network: PooledNetwork, images_NCHW: Tensor) -> Tensor:
        counted.append(len(images_NCHW))
        return own_features(network, images_NCHW)

    def forward(network: PooledNetwork, images_NCHW: Tensor) -> Tensor:
        counted.append(len(images_NCHW))
        return own_forward(network, images_NCHW)

    monkeypatch.setattr(PooledNetwork, "features", features)
    monkeypatch.setattr(PooledNetwork, "forward", forward)
    return counted


def data_of(num_views: int = 1, num_columns: int = 0) -> FitData:
    num_rows, generator = 40, np.random.default_rng(0)
    pixels = generator.integers(0, 256, (num_rows * num_views, 12, 12, 3), dtype=np.uint8)
    rows = np.arange(num_rows)
    table = generator.normal(size=(num_rows, num_columns)).astype(np.float32) if num_columns else None
    return FitData(
        inputs=Inputs(images=Images.of_array(pixels), num_views=num_views, table=table), target=np.minimum(rows % 5, 2),
        heads=(KIND,), metric=LOG_LOSS, train_rows=rows[:30], valid_rows=rows[30:], fold=0,
        id_hashes=id_hashes([str(number) for number in range(len(pixels))]),
    )  # fmt: skip


def start(hyperparameters: Hyperparameters, data: FitData) -> dict[str, Tensor]:
    """Return weights to start from, with statistics of batch norm that are none of a fresh network."""
    parent = hyperparameters.replace(freeze="none", init_from={}, epochs=1)
    fit = Fit(data, parent, SETTINGS)
    list(fit.epochs())
    return dict(fit.weights)


def fitted(data: FitData, **values: JsonValue) -> Fit:
    hyperparameters = Hyperparameters(**{**PROBE, **values})
    fit = Fit(data, hyperparameters, SETTINGS, initial_weights=start(hyperparameters, data))
    list(fit.epochs())
    return fit


@pytest.mark.parametrize(
    ("values", "num_views", "num_columns"),
    [
        ({}, 1, 0),
        ({}, 2, 3),
        ({"head": {"pooling": "gem", "hidden": [5]}}, 1, 0),
        ({"head": {"pooling": "gem", "hidden": [5]}}, 2, 3),
        ({"fuse": "attention"}, 2, 0),
        ({"fuse": "max", "head": {"pooling": "gem"}}, 2, 3),
        ({"augment": "flip", "sampler": "balanced"}, 1, 0),
        ({"augment": "heavy", "augment_copies": 2, "sampler": "balanced"}, 2, 0),
        ({**STAGES, "augment": "flip"}, 1, 0),
        ({**STAGES, "augment": "light", "augment_copies": 2}, 2, 3),
        ({**STAGES, "fuse": "attention", "head": {"pooling": "gem"}}, 2, 0),
    ],
)
def test_kept_features_train_the_head_that_images_would(
    values: dict[str, JsonValue], num_views: int, num_columns: int, num_passes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data = data_of(num_views, num_columns)
    kept = fitted(data, **values)
    num_passes.clear()
    list(Fit(data, Hyperparameters(**{**PROBE, **values}), SETTINGS, initial_weights=kept.weights).epochs())
    assert num_passes == [], "all that an epoch needs was kept"
    with monkeypatch.context() as patched:
        patched.setattr("kaggle_ray.train.predict.FrozenFeatures", lambda *arguments: None)
        plain = fitted(data, **values)
    for name, tensor in kept.weights.items():
        assert torch.allclose(tensor, plain.weights[name], atol=1e-5), name
    of_kept, of_plain = ([(e.train_loss, e.valid_loss) for e in fit.state.history] for fit in (kept, plain))
    assert np.allclose(of_kept, of_plain, atol=1e-5)
    rows = data.valid_rows
    assert np.allclose(kept.predictor.values(data.inputs, rows), plain.predictor.values(data.inputs, rows), atol=1e-5)


def test_features_are_computed_once_for_each_image_and_view(num_passes: list[int], cache_dir: Path) -> None:
    data = data_of()
    weights = start(Hyperparameters(**PROBE), data)

    def passes_of(data: FitData) -> int:
        num_passes.clear()
        fit = Fit(data, Hyperparameters(**PROBE), SETTINGS, initial_weights=weights)
        list(fit.epochs())
        fit.predictor.values(data.inputs, data.valid_rows)
        return sum(num_passes)

    assert passes_of(data) == 2 * 40, "as they lie, and mirrored"
    assert passes_of(dataclasses.replace(data, fold=1, train_rows=data.valid_rows, valid_rows=data.train_rows)) == 0
    for entry in cache_dir.glob("features/*/features.npy"):
        entry.write_bytes(b"damaged")
    assert passes_of(data) == 2 * 40
    others = Images.of_array(255 - data.inputs.images.read(np.arange(40)))
    assert passes_of(dataclasses.replace(data, inputs=Inputs(images=others))) == 2 * 40
    weights = {name: tensor * 1.5 for name, tensor in weights.items()}
    assert passes_of(data) == 2 * 40, "of another backbone"


def test_augmented_copies_come_in_turn_and_are_those_of_every_fold() -> None:
    data, hyperparameters = data_of(), Hyperparameters(**{**PROBE, "augment": "heavy", "augment_copies": 2})
    folds = [dataclasses.replace(data, fold=fold, train_rows=np.arange(40)) for fold in (0, 1)]

    def images_of(fold: int, epoch: int) -> FloatArray:
        batches = list(load(EpochBatches(folds[fold], hyperparameters, epoch, uses_images=True), SETTINGS))
        order = np.argsort(np.concatenate([batch.rows for batch in batches]))
        return np.concatenate([batch.pixels for batch in batches])[order]

    assert np.array_equal(images_of(0, 1), images_of(0, 3))
    assert np.array_equal(images_of(0, 1), images_of(1, 1))
    assert not np.array_equal(images_of(0, 1), images_of(0, 2))


def test_poolings_of_one_backbone_keep_their_own_features() -> None:
    data = data_of()
    of_poolings = [fitted(data, head={"pooling": pooling}).weights for pooling in ("avg", "max")]
    averaged, largest = (weights["module.network.head.0.weight"] for weights in of_poolings)
    assert not torch.equal(averaged, largest)


def test_processes_compute_different_parts_of_what_both_need(num_passes: list[int], cache_dir: Path) -> None:
    data = data_of()
    weights = start(Hyperparameters(**PROBE), data)
    mine, others = (Fit(data, Hyperparameters(**PROBE), SETTINGS, initial_weights=weights).predictor for _ in range(2))
    num_passes.clear()
    mine.prepare(data.inputs)
    assert sum(num_passes) == 2 * 40, "as they lie, and mirrored"
    for entry in cache_dir.glob("features/*/features.npy"):
        entry.unlink()
    first, _ = sorted(cache_dir.glob("features/*.lock"))
    num_passes.clear()
    with FileLock(first):  # another process computes these
        others.prepare(data.inputs)
    assert sum(num_passes) == 40
    others.prepare(data.inputs)
    assert sum(num_passes) == 2 * 40


@pytest.mark.parametrize("values", [{"augment": "light"}, {"mixup": 0.4}, {"augment": "dihedral", "augment_copies": 1}])
def test_images_that_are_varied_are_looked_at_anew_and_the_backbone_stands_still(
    values: dict[str, JsonValue], num_passes: list[int]
) -> None:
    data, hyperparameters = data_of(), Hyperparameters(**{**PROBE, **values})
    weights = start(hyperparameters, data)
    num_passes.clear()
    fit = Fit(data, hyperparameters, SETTINGS, initial_weights=weights)
    list(fit.epochs())
    assert sum(num_passes) >= 3 * 30
    fresh = {name.rpartition(".")[0] for name in fit.state.model.fresh_names()}
    moved = {
        name
        for name, tensor in fit.state.model.state_dict().items()
        if not torch.equal(tensor, weights[_averaged(name, weights)])
    }
    assert moved
    assert {name.rpartition(".")[0] for name in moved} <= fresh


def _averaged(name: str, weights: dict[str, Tensor]) -> str:
    return name if name in weights else f"module.{name}"


def test_no_graph_is_made_of_a_frozen_backbone() -> None:
    fit = fitted(data_of(), augment="light")
    network = fit.state.model.network
    assert isinstance(network, HeadedNetwork)
    assert not network.features(torch.rand(2, 3, 12, 12)).requires_grad
    assert network(torch.rand(2, 3, 12, 12)).requires_grad


def test_a_view_is_told_by_its_size_and_its_mirror_image(tmp_path: Path) -> None:
    model = build_model(
        "small_resnet", Shapes(num_outputs=2), model_args={"width": 4, "blocks": [1]}, head={"pooling": "avg"}
    ).eval()
    images = data_of().inputs.images
    features = FrozenFeatures(model, SETTINGS, tmp_path)
    seen = [View(height=12), View(height=12, is_mirrored=True), View(height=12, corner="centre"), View(height=8)]
    views = [features.of(images, (view.height, view.height), view) for view in seen]
    assert len({view.tobytes() for view in views}) == 4
    again = FrozenFeatures(model, SETTINGS, tmp_path).of(images, (12, 12))
    assert np.array_equal(again, views[0])
    assert len(list(tmp_path.glob("features/*/features.npy"))) == 4


def test_whatever_features_are_a_function_of_tells_them_apart(tmp_path: Path) -> None:
    model = build_model(
        "small_resnet", Shapes(num_outputs=2), model_args={"width": 4, "blocks": [1]}, head={"pooling": "avg"}
    ).eval()
    images, rows = data_of().inputs.images, np.arange(40)
    pixels, held = images.read(rows), EntryUse(tmp_path, "images", "0" * 16)
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))

    def num_kept(images: ImageRows, settings: Settings = SETTINGS) -> int:
        FrozenFeatures(model, settings, tmp_path).of(images, (12, 12))
        return len(list(tmp_path.glob("features/*/features.npy")))

    assert [num_kept(images), num_kept(images)] == [1, 1]
    assert num_kept(images, dataclasses.replace(SETTINGS, dtype="bfloat16")) == 2
    with torch.no_grad():
        model.mean += 0.1
        assert num_kept(images) == 3
        norm.get_buffer("running_mean").add_(0.1)
        assert num_kept(images) == 4
    for number, order in enumerate((rows, rows[::-1]), start=5):  # of one set in the cache
        assert num_kept(Images(rows_of_pixels=order, pixels=pixels, held=held)) == number
    held.close()
