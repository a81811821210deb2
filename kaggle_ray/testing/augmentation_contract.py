"""The contract of an augmentation: call ``check_augmentation`` in a test of each one."""

from __future__ import annotations

import random

import numpy as np

from kaggle_ray.images.compose import compose_batch
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.randomness import id_hashes

_NUM_IMAGES = 6


def check_augmentation(name: str, *, channels: int = 3, sides: tuple[int, int] = (24, 32)) -> None:
    """Check what training relies on: images and masks of the right size, which depend on an image's own key alone.

    Args:
        name: that the augmentation is registered under.
        channels: of an image.
        sides: height and width in pixels that images come out with; they are stored a quarter larger.

    Raises:
        AssertionError: it does not keep to it.
        ConfigError: it raises, or returns another size or type.
    """
    height, width = sides
    stored = (_NUM_IMAGES, height * 5 // 4, width * 5 // 4)
    rng = np.random.default_rng(0)
    pixels_NHWC = rng.integers(0, 256, (*stored, channels), dtype=np.uint8)
    masks_NHWM = rng.integers(0, 2, (*stored, 1), dtype=np.uint8)
    keys = id_hashes(map(str, range(_NUM_IMAGES)))

    def made(rows: slice, disturbance: int = 0) -> tuple[Pixels, Pixels]:
        random.seed(disturbance)  # what it must not draw from
        np.random.seed(disturbance)
        images, masks = compose_batch(
            pixels_NHWC[rows].copy(), masks_NHWM[rows].copy(), keys[rows], name, height, width, "labels"
        )
        assert masks is not None
        return images, masks

    images, masks = made(slice(None))
    assert (images.shape, images.dtype) == ((_NUM_IMAGES, height, width, channels), np.dtype(np.uint8))
    assert set(np.unique(masks)) <= {0, 1}, "a mask has values that it had not: give it mask_interpolation of nearest"
    again, _ = made(slice(None), disturbance=1)
    assert np.array_equal(again, images), "the same keys make other images: what else is random?"
    alone = np.concatenate([made(slice(row, row + 1))[0] for row in range(_NUM_IMAGES)])
    assert np.array_equal(alone, images), "an image depends on the images beside it"
