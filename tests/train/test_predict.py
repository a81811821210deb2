from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config import TestTimeAugmentation as Views
from kaggle_ray.config.predict import View
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.images.cache import Images
from kaggle_ray.images.decode import Pixels
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.models import Model, Shapes, build_model, main_logits
from kaggle_ray.store.predictions import as_floats
from kaggle_ray.train.inputs import Inputs
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.train.predict import Predictor
from kaggle_ray.types import FloatArray, IntArray, JsonValue, StoredValues

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
SIZE = 16
ALL = np.arange(23)
BINARY = Head(task="binary", classes=("no", "yes"), metric=metric_by_name("log_loss"))
CLASSES = Head(task="multiclass", classes=("a", "b", "c"), metric=metric_by_name("log_loss"))
MASK = Head(task="segmentation", classes=("car",), metric=metric_by_name("dice"))

Predict = Callable[..., FloatArray]


def inputs_of(pixels: Pixels) -> Inputs:
    return Inputs(images=Images.of_array(pixels))


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (len(ALL), SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=[BINARY, CLASSES], ids=["binary", "multiclass"])
def head(request: pytest.FixtureRequest) -> Head:
    chosen: Head = request.param
    return chosen


@pytest.fixture(scope="module")
def model(head: Head) -> Model:
    torch.manual_seed(0)
    return build_model("small_resnet", Shapes(num_outputs=head.num_outputs), model_args={"width": 8})


def predictor(model: Model, head: Head, settings: Settings = SETTINGS, **values: JsonValue) -> Predictor:
    hyperparameters = Hyperparameters(**{"image_size": SIZE, "batch_size": 8, **values})
    return Predictor(model, Outputs([head], ALL % 2), hyperparameters, settings, mask_size=None)


@pytest.fixture
def predict(model: Model, head: Head, pixels: Pixels) -> Predict:
    def predict(
        rows: IntArray = ALL, *, tta: Views = "none", batch_size: int = 8, size: int = SIZE, of: Pixels = pixels
    ) -> FloatArray:
        return predictor(model, head, tta=tta, batch_size=batch_size, train_size=size).values(inputs_of(of), rows)

    return predict


def logits(model: Model, head: Head, pixels: Pixels, settings: Settings = SETTINGS) -> torch.Tensor:
    batches = predictor(model, head, settings).outputs(inputs_of(pixels), ALL, view=View(height=SIZE))
    return torch.cat([main_logits(output) for _, output in batches])


def test_a_row_is_predicted_alike_wherever_it_comes(predict: Predict) -> None:
    everything = predict()
    rows = np.array([7, 3, 22, 0, 3])
    assert np.abs(predict(rows) - everything[rows]).max() < 1e-6
    assert everything.dtype == np.float32
    assert len({tuple(row) for row in everything.tolist()}) == len(ALL)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 23, 100])
def test_the_batch_size_does_not_matter(predict: Predict, batch_size: int) -> None:
    assert np.abs(predict(batch_size=batch_size) - predict(batch_size=8)).max() < 1e-6


def test_values_come_a_batch_at_a_time(model: Model, head: Head, pixels: Pixels) -> None:
    by, inputs = predictor(model, head, tta="hflip"), inputs_of(pixels)
    batches = by.value_blocks(inputs, ALL)
    first = next(batches)
    assert len(first) == 8
    assert np.concatenate([first, *batches]).tobytes() == by.values(inputs, ALL).tobytes()


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


def test_values_are_probabilities(predict: Predict, head: Head) -> None:
    values = predict(tta="hflip")
    assert np.all((values >= 0) & (values <= 1))
    if head is CLASSES:
        assert np.abs(values.sum(axis=1) - 1).max() < 1e-6


def test_the_model_is_left_in_evaluation_mode_and_unchanged(model: Model, head: Head, pixels: Pixels) -> None:
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    logits_NC = logits(model, head, pixels)
    assert not model.training
    assert not logits_NC.requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_bfloat16_is_near_and_comes_back_as_float32(model: Model, head: Head, pixels: Pixels) -> None:
    half = Settings(device="cpu", threads_per_trial=1, dtype="bfloat16")
    exact, rough = logits(model, head, pixels), logits(model, head, pixels, half)
    assert rough.dtype == torch.float32
    assert torch.allclose(rough, exact, atol=0.1)
    assert not torch.equal(rough, exact)


# Masks --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter() -> Model:
    torch.manual_seed(0)
    return build_model("unet", Shapes(num_outputs=1, segments=True), model_args={"width": 4, "depth": 2})


def predict_masks(
    model: Model, pixels: Pixels, *, mask_size: tuple[int, int] = (SIZE, SIZE), **values: JsonValue
) -> FloatArray:
    hyperparameters = Hyperparameters(**{"image_size": pixels.shape[1], "batch_size": 8, **values})
    by = Predictor(model, PixelOutputs(MASK), hyperparameters, SETTINGS, mask_size=mask_size)
    return as_floats(by.values(inputs_of(pixels), np.arange(len(pixels))))


def test_the_mask_of_a_mirror_image_is_mirrored_back(segmenter: Model, pixels: Pixels) -> None:
    plain = predict_masks(segmenter, pixels, tta="hflip").reshape(-1, SIZE, SIZE)
    mirrored = predict_masks(segmenter, np.ascontiguousarray(pixels[:, :, ::-1]), tta="hflip").reshape(-1, SIZE, SIZE)
    assert np.abs(plain - mirrored[:, :, ::-1]).max() <= 1 / 255


def symmetric(pixels: StoredValues, number: int) -> StoredValues:
    """Return (N, H, W, ...) turned by ``number`` quarters, and from 4 on mirrored."""
    turned = np.rot90(pixels, number % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if number >= 4 else turned)


@pytest.mark.parametrize("number", [1, 4, 7])
def test_dihedral_does_not_tell_the_symmetries_of_a_square_apart(
    predict: Predict, segmenter: Model, pixels: Pixels, number: int
) -> None:
    other = symmetric(pixels, number)
    assert np.abs(predict(of=other, tta="dihedral") - predict(tta="dihedral")).max() < 1e-6
    assert np.abs(predict(of=other) - predict()).max() > 1e-4
    masks = predict_masks(segmenter, pixels, tta="dihedral").reshape(-1, SIZE, SIZE)
    of_other = predict_masks(segmenter, other, tta="dihedral").reshape(-1, SIZE, SIZE)
    assert np.abs(symmetric(masks, number) - of_other).max() <= 1 / 255 + 1e-6


def test_crops_are_the_middle_and_the_corners_of_seven_eighths_of_the_sides(predict: Predict, pixels: Pixels) -> None:
    starts = [(1, 1), (0, 0), (0, 2), (2, 0), (2, 2)]
    crops = [predict(of=pixels[:, top : top + 14, left : left + 14], size=14) for top, left in starts]
    assert np.abs(predict(tta="five_crop") - np.mean(crops, axis=0, dtype=np.float64)).max() < 1e-6
    mirrored = predict(of=np.ascontiguousarray(pixels[:, :, ::-1]), tta="five_crop")
    both = (predict(tta="five_crop").astype(np.float64) + mirrored) / 2
    assert np.abs(predict(tta="ten_crop") - both).max() < 1e-6


def test_scales_is_the_mean_over_three_sizes(predict: Predict) -> None:
    of_sizes = [predict(size=size) for size in (9, 12, 15)]
    assert np.abs(predict(tta="scales", size=12) - np.mean(of_sizes, axis=0, dtype=np.float64)).max() < 1e-6


@pytest.mark.parametrize("mask_size", [(8, 8), (16, 16), (24, 40)])
def test_masks_come_at_the_size_that_they_are_kept_at(
    segmenter: Model, pixels: Pixels, mask_size: tuple[int, int]
) -> None:
    values = predict_masks(segmenter, pixels, mask_size=mask_size)
    assert values.shape == (len(ALL), mask_size[0] * mask_size[1])
    assert np.all((values >= 0) & (values <= 1))


def test_tiles_agree_with_the_whole_far_from_their_borders(segmenter: Model) -> None:
    large = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    whole = predict_masks(segmenter, large, mask_size=(96, 96)).reshape(2, 96, 96)
    tiled = predict_masks(segmenter, large, mask_size=(96, 96), tile=64).reshape(2, 96, 96)
    assert np.abs(whole - tiled)[:, :24, :24].max() <= 1 / 255
    assert not np.array_equal(whole, tiled)
