"""What images are normalised with: declared, the library's, or that of the rows that a fold trains on and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from kaggle_ray.config import ModelHyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.normalization import Normalization
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import augment_batch
from kaggle_ray.images.cache import Images
from kaggle_ray.images.moments import ImageMoments
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.testing.toy import COMPETITION, TINY
from kaggle_ray.train.fold_data import TrainingRows
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.start import make_model
from kaggle_ray.train.state import FitState
from kaggle_ray.types import Folds

PIXELS: Any = np.random.default_rng(0).normal(-300, 200, (6, 4, 4, 2)).astype(np.float32)
FOLD_OF = np.array([0, 0, 1, 1, 1, 0], dtype=np.int8)
TRAIN_ROWS = [2, 3, 4]
"""Of fold 0."""


def data_of(pixels: Any = PIXELS, **named: Any) -> FitData:
    ids = as_ids(list("abcdef"))
    samples = samples_of(ids, np.array([0, 1, 0, 1, 0, 1]), test_ids=as_ids(["t"]))
    competition = replace(COMPETITION, **{"reader": "npy", "channels": 2, **named})
    hashes = np.arange(6, dtype=np.uint64)
    rows = TrainingRows(competition=competition, samples=samples, target=samples.target, hashes=hashes)
    folds = Folds(sample_ids=ids, fold_of=FOLD_OF, num_folds=2, seed=0, digest="d")
    inputs = Inputs(images=Images.of_array(pixels))
    return rows.of_fold(folds, 0, parse_hyperparameters(TINY, where="test"), inputs=inputs, masks=None)


def test_numbers_are_normalised_with_the_scale_of_the_rows_that_the_fold_trains_on() -> None:
    scale = data_of().scale
    assert scale is not None
    np.testing.assert_allclose(scale.mean, PIXELS[TRAIN_ROWS].mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(scale.std, PIXELS[TRAIN_ROWS].std(axis=(0, 1, 2)), rtol=1e-5)
    changed = PIXELS.copy()
    changed[[0, 1, 5]] = 1e4  # the rows that are scored
    again = data_of(changed).scale
    assert again is not None
    np.testing.assert_array_equal(again.mean, scale.mean)
    np.testing.assert_array_equal(again.std, scale.std)


def test_the_ledger_knows_the_rows_that_the_scale_was_computed_over() -> None:
    def begun(data: FitData) -> FitState:
        settings = Settings(device="cpu", dtype="float32", threads_per_trial=1)
        return FitState(data, parse_hyperparameters(TINY, where="test"), settings, torch.device("cpu"), None)

    assert np.flatnonzero(begun(data_of()).trained_rows).tolist() == TRAIN_ROWS
    assert not begun(data_of(normalization=Normalization(mean=(0, 0), std=(1, 1)))).trained_rows.any()


@pytest.mark.parametrize(
    ("pixels", "named", "is_the_library_s"),
    [
        (PIXELS.astype(np.uint8), {}, True),
        (PIXELS.astype(np.uint8), {"reader": None}, True),
        (PIXELS.astype(np.uint8), {"normalization": "train"}, False),
        (PIXELS.astype(np.uint16), {}, False),
        (PIXELS.astype(np.uint16), {"reader": None}, True),
        (PIXELS, {"normalization": Normalization(mean=(0, 0), std=(1, 1))}, False),
    ],
)
def test_photographs_have_the_scale_of_the_network_s_library(
    pixels: Any, named: dict[str, Any], is_the_library_s: bool
) -> None:
    assert (data_of(pixels, **named).scale is None) == is_the_library_s


def test_a_model_is_made_with_the_scale_and_one_of_other_channels_is_refused() -> None:
    data, given = data_of(), ModelHyperparameters(name="small_resnet", args={"width": 4, "blocks": [1]})
    model = make_model(data, given, torch.device("cpu"))
    assert data.scale is not None
    np.testing.assert_array_equal(model.mean.flatten(), data.scale.mean)
    assert model(torch.from_numpy(PIXELS).permute(0, 3, 1, 2)).isfinite().all()
    with pytest.raises(ConfigError, match="a mean and a deviation of 2 channels, got 3"):
        make_model(data_of(normalization=Normalization(mean=(0,) * 3, std=(1,) * 3)), given, torch.device("cpu"))


def test_pixels_of_8_and_16_bits_are_measured_as_shares_of_white() -> None:
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535)):
        pixels = np.full((2, 3, 3, 1), white, dtype=dtype)
        scale = ImageMoments(Images.of_array(pixels)).scale(np.arange(2), rows=np.arange(2))
        assert (scale.mean.tolist(), scale.std.tolist()) == ([1.0], [1.0])  # a deviation of 0 would divide by it


def test_numbers_of_any_scale_are_moved_but_not_recoloured() -> None:
    keys = np.arange(6, dtype=np.uint64)
    moved, _ = augment_batch(PIXELS, None, keys, "light", 4, 4)
    assert moved.dtype == np.float32
    assert (moved != PIXELS).any()
    for recipe in ("heavy", "medium"):
        with pytest.raises(ConfigError, match=f"augment: '{recipe}' changes colours"):
            augment_batch(PIXELS, None, keys, recipe, 4, 4)
