from __future__ import annotations

import numpy as np
import pytest
import torch

from kaggle_ray.config import Augment
from kaggle_ray.images.augment import RECIPES, crop_batch, draw_randomness, recolor, resize_batch, to_float
from kaggle_ray.images.decode import Pixels
from kaggle_ray.types import FloatArray

SIZE = 32
RANDOM_RECIPES: list[Augment] = ["shift", "light", "heavy"]


@pytest.fixture
def pixels() -> Pixels:
    ramp = np.linspace(0, 255, SIZE * SIZE * 3).reshape(SIZE, SIZE, 3)
    return np.stack([np.roll(ramp, 7 * row, axis=1) for row in range(6)]).astype(np.uint8)


def augmented(pixels: Pixels, rows: list[int], draws: FloatArray, name: Augment, size: int = 24) -> torch.Tensor:
    chosen = np.array(rows)
    images = to_float(torch.from_numpy(crop_batch(pixels, chosen, draws[chosen], name, size)))
    return recolor(images, torch.from_numpy(draws[chosen]), name)


def test_no_augmentation_is_the_image_itself(pixels: Pixels) -> None:
    images = augmented(pixels, [4, 1], draw_randomness(0, 6), "none", SIZE)
    assert torch.equal(images, torch.from_numpy(pixels[[4, 1]]).permute(0, 3, 1, 2).float() / 255)


def test_every_recipe_gives_the_size_asked_for(pixels: Pixels) -> None:
    for name in RECIPES:
        assert augmented(pixels, [0, 1, 2], draw_randomness(0, 6), name, 20).shape == (3, 3, 20, 20)


@pytest.mark.parametrize("name", RANDOM_RECIPES)
def test_a_row_is_augmented_the_same_in_whatever_batch_it_comes(pixels: Pixels, name: Augment) -> None:
    draws = draw_randomness(3, 6)
    together = augmented(pixels, [0, 3, 5, 2], draws, name)
    assert torch.equal(together[2], augmented(pixels, [5], draws, name)[0])


@pytest.mark.parametrize("name", RANDOM_RECIPES)
def test_another_epoch_gives_another_image(pixels: Pixels, name: Augment) -> None:
    first, second = (augmented(pixels, [0], draw_randomness(seed, 6), name) for seed in (0, 1))
    assert not torch.equal(first, second)


def test_a_whole_crop_is_the_image_or_its_mirror(pixels: Pixels) -> None:
    draws = np.full((2, 16), 0.5, dtype=np.float32)
    draws[:, 0] = 1.0  # the whole area, at aspect 1 and in the middle
    draws[:, 4] = [0.0, 0.9]  # mirrored, and not
    mirrored, straight = crop_batch(pixels, np.array([1, 1]), draws, "light", SIZE)
    assert np.array_equal(straight, pixels[1])
    assert np.array_equal(mirrored, pixels[1][:, ::-1])


def test_erasing_fills_five_to_twenty_percent_of_half_of_the_images(pixels: Pixels) -> None:
    white = torch.ones(400, 3, 64, 64)
    draws = draw_randomness(0, 400)
    draws[:, 5:8] = 0.5  # no colour jitter
    images = recolor(white, torch.from_numpy(draws), "heavy")
    share = (images[:, 0] < 0.9).float().mean(dim=(1, 2))
    erased = share[share > 0]
    assert 0.4 < len(erased) / 400 < 0.6
    assert erased.min() > 0.04
    assert erased.max() < 0.22


def test_colours_stay_where_the_draws_are_in_the_middle(pixels: Pixels) -> None:
    draws = np.full((6, 16), 0.5, dtype=np.float32)
    draws[:, 8] = 0.99  # not erased
    images = to_float(torch.from_numpy(pixels))
    assert torch.allclose(recolor(images, torch.from_numpy(draws), "heavy"), images, atol=1e-6)


def test_shrinking_averages_areas() -> None:
    checkers = np.indices((8, 8)).sum(axis=0) % 2 * 200
    pixels = np.repeat(checkers[None, :, :, None], 3, axis=3).astype(np.uint8)
    assert (resize_batch(pixels, np.array([0]), 4) == 100).all()
