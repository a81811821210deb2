from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kaggle_ray.config import TestTimeAugmentation as Views
from kaggle_ray.images.decode import Pixels
from kaggle_ray.models import Model, build_model
from kaggle_ray.settings import Settings
from kaggle_ray.train.predict import predict_logits, predict_probabilities
from kaggle_ray.types import FloatArray, IntArray, Task

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
SIZE = 16
ALL = np.arange(23)

Predict = Callable[..., FloatArray]


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (len(ALL), SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["binary", "multiclass"])
def task(request: pytest.FixtureRequest) -> Task:
    chosen: Task = request.param
    return chosen


@pytest.fixture(scope="module")
def model(task: Task) -> Model:
    torch.manual_seed(0)
    return build_model("small_resnet", num_outputs=1 if task == "binary" else 3, model_args={"width": 8})


@pytest.fixture
def predict(model: Model, task: Task, pixels: Pixels) -> Predict:
    def predict(
        rows: IntArray = ALL, *, tta: Views = "none", batch_size: int = 8, size: int = SIZE, of: Pixels = pixels
    ) -> FloatArray:
        return predict_probabilities(
            model, of, rows, task=task, tta=tta, size=size, batch_size=batch_size, settings=SETTINGS
        )

    return predict


def test_a_row_is_predicted_alike_wherever_it_comes(predict: Predict) -> None:
    everything = predict()
    rows = np.array([7, 3, 22, 0, 3])
    assert np.abs(predict(rows) - everything[rows]).max() < 1e-6
    assert everything.dtype == np.float32
    assert len({tuple(row) for row in everything.tolist()}) == len(ALL)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 23, 100])
def test_the_batch_size_does_not_matter(predict: Predict, batch_size: int) -> None:
    assert np.abs(predict(batch_size=batch_size) - predict(batch_size=8)).max() < 1e-6


def test_the_same_call_gives_the_same_bits(predict: Predict) -> None:
    assert predict(tta="hflip").tobytes() == predict(tta="hflip").tobytes()


def test_hflip_is_the_mean_over_the_image_and_its_mirror_image(predict: Predict, pixels: Pixels) -> None:
    mirrored = predict(of=np.ascontiguousarray(pixels[:, :, ::-1]))
    plain = predict()
    assert np.abs(predict(tta="hflip") - (plain.astype(np.float64) + mirrored) / 2).max() < 1e-6
    assert np.abs(plain - mirrored).max() > 1e-4


def test_hflip_does_not_tell_an_image_from_its_mirror_image(predict: Predict, pixels: Pixels) -> None:
    other = predict(of=np.ascontiguousarray(pixels[:, :, ::-1]), tta="hflip")
    assert np.abs(other - predict(tta="hflip")).max() < 1e-6


def test_hflip_sizes_is_the_mean_over_two_sizes(predict: Predict) -> None:
    both = (predict(tta="hflip", size=12).astype(np.float64) + predict(tta="hflip", size=15)) / 2
    assert np.abs(predict(tta="hflip_sizes", size=12) - both).max() < 1e-6


def test_hflip_sizes_goes_no_larger_than_the_images(predict: Predict) -> None:
    assert np.array_equal(predict(tta="hflip_sizes"), predict(tta="hflip"))


def test_values_are_probabilities(predict: Predict, task: Task) -> None:
    values = predict(tta="hflip")
    assert np.all((values >= 0) & (values <= 1))
    if task == "multiclass":
        assert np.abs(values.sum(axis=1) - 1).max() < 1e-6


def test_the_model_is_left_in_evaluation_mode_and_unchanged(model: Model, pixels: Pixels) -> None:
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    logits_NC = predict_logits(model, pixels, ALL, size=SIZE, batch_size=8, settings=SETTINGS)
    assert not model.training
    assert not logits_NC.requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_bfloat16_is_near_and_comes_back_as_float32(model: Model, pixels: Pixels) -> None:
    half = Settings(device="cpu", threads_per_trial=1, dtype="bfloat16")
    exact = predict_logits(model, pixels, ALL, size=SIZE, batch_size=8, settings=SETTINGS)
    rough = predict_logits(model, pixels, ALL, size=SIZE, batch_size=8, settings=half)
    assert rough.dtype == torch.float32
    assert torch.allclose(rough, exact, atol=0.1)
    assert not torch.equal(rough, exact)
