from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import RECIPES, augment_batch, check_recipe, register_augmentation
from kaggle_ray.images.decode import Pixels

KEYS = np.arange(64, dtype=np.uint64)


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 200, (64, 16, 16, 3), dtype=np.uint8)


def flips_and_colours(height: int, width: int) -> Any:
    import albumentations

    return albumentations.Compose(
        [
            albumentations.Resize(height, width, p=1),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.RandomBrightnessContrast((0.1, 0.1), (0, 0), p=0.5),
        ]
    )


def test_a_registered_augmentation_is_used_by_its_name(pixels: Pixels) -> None:
    register_augmentation("mine")(flips_and_colours)
    check_recipe("mine")
    named, _ = augment_batch(pixels, None, KEYS, "mine", 16, 12)
    given, _ = augment_batch(pixels, None, KEYS, flips_and_colours(16, 12), 16, 12)
    assert named.shape == (64, 16, 12, 3)
    assert np.array_equal(named, given)


@pytest.mark.parametrize("name", [*RECIPES, "medium", "dihedral", "segmentation"])
def test_a_name_that_is_built_in_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is built in"):
        register_augmentation(name)(flips_and_colours)


def test_one_transform_says_nothing_about_another(pixels: Pixels) -> None:
    """albumentations' own set_random_seed would brighten exactly the mirrored images."""
    register_augmentation("mine")(flips_and_colours)
    images, _ = augment_batch(pixels, None, KEYS, "mine", 16, 16)
    bright = images.mean(axis=(1, 2, 3)) > pixels.mean(axis=(1, 2, 3)) + 1
    straight = np.where(bright[:, None, None, None], images - np.uint8(25), images) == pixels
    combinations = set(zip(bright.tolist(), (straight.mean(axis=(1, 2, 3)) > 0.5).tolist(), strict=True))
    assert len(combinations) == 4


def test_a_compose_may_draw_from_both_kinds_of_generators(pixels: Pixels) -> None:
    import albumentations

    noisy = albumentations.Compose(
        [
            albumentations.OneOf([albumentations.GaussNoise(p=1), albumentations.D4(p=1)], p=0.9),
            albumentations.SomeOf([albumentations.CoarseDropout(p=1), albumentations.Rotate(p=1)], n=1, p=0.9),
            albumentations.ElasticTransform(p=0.5),
        ]
    )
    together, _ = augment_batch(pixels, None, KEYS, noisy, 16, 16)
    order = np.random.default_rng(1).permutation(64)
    apart = [augment_batch(pixels[[row]], None, KEYS[[row]], noisy, 16, 16)[0] for row in order]
    assert np.array_equal(np.concatenate(apart), together[order])
    other, _ = augment_batch(pixels, None, KEYS + np.uint64(64), noisy, 16, 16)
    assert not np.array_equal(other, together)


def test_what_does_not_end_at_the_size_asked_for_is_named(pixels: Pixels) -> None:
    register_augmentation("whole")(lambda height, width: flips_and_colours(height + 1, width))
    with pytest.raises(ConfigError, match=r"'whole'.*expected image \(8, 8, 3\) uint8, got \(9, 8, 3\)"):
        augment_batch(pixels, None, KEYS, "whole", 8, 8)


@pytest.mark.parametrize("recipe", ["medium", "dihedral", "segmentation"])
def test_our_recipes_do_the_same_to_16_bits_as_to_8(recipe: str, pixels: Pixels) -> None:
    masks = np.where(pixels[..., :1] > 127, np.uint8(255), np.uint8(0))
    shallow, of_shallow = augment_batch(pixels, masks, KEYS, recipe, 12, 12)
    deepened = pixels.astype(np.uint16) * 257
    deep, of_deep = augment_batch(deepened, masks, KEYS, recipe, 12, 12)  # type: ignore[arg-type]
    assert of_deep is not None
    assert of_shallow is not None
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - shallow).max() < 4
    assert np.array_equal(of_deep, of_shallow)


def test_normalising_is_refused(pixels: Pixels) -> None:
    import albumentations

    register_augmentation("normalises")(lambda height, width: albumentations.Compose([albumentations.Normalize()]))
    with pytest.raises(ConfigError, match=r"float32.*leave out what makes floats"):
        augment_batch(pixels, None, KEYS, "normalises", 16, 16)


def test_what_albumentations_cannot_do_names_the_recipe_and_the_images() -> None:
    import albumentations

    register_augmentation("coloured")(lambda *_: albumentations.Compose([albumentations.HueSaturationValue(p=1)]))
    with pytest.raises(ConfigError, match=r"'coloured' on image \(16, 16, 5\) uint8"):
        augment_batch(np.zeros((64, 16, 16, 5), dtype=np.uint8), None, KEYS, "coloured", 16, 16)


def test_masks_keep_an_interpolation_that_the_compose_chose() -> None:
    import albumentations
    import cv2

    def nearest(height: int, width: int) -> Any:
        resize = albumentations.Resize(height, width, p=1)
        return albumentations.Compose([resize], mask_interpolation=cv2.INTER_NEAREST)

    register_augmentation("nearest")(nearest)
    halves = np.repeat(np.array([0, 255], dtype=np.uint8), 8)[None, None, :, None].repeat(16, axis=1)
    images = halves.repeat(3, axis=3)
    _, chosen = augment_batch(images, halves, KEYS[:1], "nearest", 25, 25)
    _, linear = augment_batch(images, halves, KEYS[:1], "medium", 25, 25)
    assert chosen is not None
    assert linear is not None
    assert set(np.unique(chosen)) == {0, 255}
    assert len(np.unique(linear)) > 2


def test_albumentations_is_imported_late_and_asks_no_network() -> None:
    program = (
        "import sys, os, numpy as np\n"
        "from kaggle_ray.images.augment import augment_batch, check_recipe\n"
        "check_recipe('medium')\n"
        "pixels, keys = np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, np.uint64)\n"
        "augment_batch(pixels, None, keys, 'heavy', 8, 8)\n"
        "assert 'albumentations' not in sys.modules\n"
        "import socket\n"
        "socket.socket.connect = None\n"
        "augment_batch(pixels, None, keys, 'medium', 8, 8)\n"
        "assert os.environ['NO_ALBUMENTATIONS_UPDATE'] == '1'\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert "version" not in done.stderr


def test_the_competition_side_of_a_registration_does_not_import_torch() -> None:
    program = "import sys, kaggle_ray.images.compose\nassert not {'torch', 'albumentations'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
