"""Augmentation by named recipes: geometry on uint8 pixels on the CPU, colour on the device.

Every random number is a function of (seed, fold, epoch, row), whatever the batch or process that a row comes in.

Shape suffixes: N images of a batch, H height, W width, C = 3 channels, P random numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from kaggle_ray.config import Augment
from kaggle_ray.images.decode import Pixels
from kaggle_ray.types import Float64Array, FloatArray, IntArray

Array = TypeVar("Array", Tensor, Float64Array)

NUM_DRAWS = 16
_MAX_ASPECT = 4 / 3
_MAX_ERASED_ASPECT = 2.0
_GREY = 0.47
"""What erased areas are filled with: the mean of photographs, 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a random crop, mirror, colour jitter and erasing may do."""

    flip: bool = False
    """Mirror left and right, every other image."""
    min_area: float = 1.0
    """A crop keeps a fraction of the area from here to 1; its aspect is from 3/4 to 4/3."""
    max_shift: float = 0.0
    """Largest shift, as a fraction of the side; what comes in is mirrored at the border."""
    brightness: float = 0.0
    """Largest shift of all values, which range from 0 to 1."""
    contrast: float = 0.0
    """The distance from the image's mean is scaled by 1 - contrast to 1 + contrast."""
    saturation: float = 0.0
    """The distance from the pixel's grey is scaled by 1 - saturation to 1 + saturation."""
    erase: float = 0.0
    """Probability that a rectangle of 5 to 20% of the area is filled with grey (Zhong et al., AAAI 2020)."""


RECIPES: dict[Augment, Recipe] = {
    "none": Recipe(),
    "shift": Recipe(max_shift=0.125),
    "light": Recipe(flip=True, min_area=0.6),
    "heavy": Recipe(flip=True, min_area=0.3, brightness=0.15, contrast=0.3, saturation=0.4, erase=0.5),
}


def draw_randomness(seed: int, num_rows: int) -> FloatArray:
    """Return (num_rows, P) uniform numbers, one line a row, for one epoch whose ``seed`` is derived for it."""
    return np.random.default_rng(seed).random((num_rows, NUM_DRAWS), dtype=np.float32)


def resize_batch(pixels: Pixels, rows: IntArray, size: int) -> Pixels:
    """Return (N, size, size, C) uint8 the images of ``rows``, shrunk by averaging areas where they are larger."""
    if pixels.shape[1] == size:
        return pixels[rows]
    batch = np.empty((len(rows), size, size, 3), dtype=np.uint8)
    interpolation = cv2.INTER_AREA if pixels.shape[1] > size else cv2.INTER_LINEAR
    for position, row in enumerate(rows):
        cv2.resize(pixels[row], (size, size), dst=batch[position], interpolation=interpolation)
    return batch


def crop_batch(pixels: Pixels, rows: IntArray, draws_NP: FloatArray, name: Augment, size: int) -> Pixels:
    """Return (N, size, size, C) uint8 random crops and mirror images of ``rows``, each resampled once.

    Args:
        pixels: (M, H, H, C) uint8.
        rows: (N,) positions in ``pixels``.
        draws_NP: the lines of ``draw_randomness`` for the rows.
        name: the recipe's name.
        size: side of the result, in pixels.
    """
    recipe = RECIPES[name]
    if not (recipe.flip or recipe.max_shift or recipe.min_area < 1):
        return resize_batch(pixels, rows, size)
    batch = np.empty((len(rows), size, size, 3), dtype=np.uint8)
    matrices = _source_of(draws_NP.astype(np.float64), recipe, side=pixels.shape[1], size=size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for position, row in enumerate(rows):
        cv2.warpAffine(
            pixels[row],
            matrices[position],
            (size, size),
            dst=batch[position],
            flags=flags,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return batch


def _source_of(draws_NP: Float64Array, recipe: Recipe, *, side: int, size: int) -> Float64Array:
    """Return (N, 2, 3) affine maps from a pixel of the result to where it comes from in an image of ``side`` pixels.

    Each is a crop of random area, aspect and place, mirrored or not; pixel centres lie at integers.
    """
    area = recipe.min_area + (1 - recipe.min_area) * draws_NP[:, 0]
    freedom = math.log(_MAX_ASPECT) if recipe.min_area < 1 else 0.0
    aspect = np.exp(_symmetric(draws_NP[:, 1]) * freedom)
    width, height = np.minimum(np.sqrt(area * aspect), 1), np.minimum(np.sqrt(area / aspect), 1)
    mirror = np.where(draws_NP[:, 4] < 0.5, -1.0, 1.0) if recipe.flip else 1.0
    matrices = np.zeros((len(draws_NP), 2, 3))
    for axis, (extent, sign, draw) in enumerate(((width, mirror, 2), (height, 1.0, 3))):
        freedom_of_place = (1 - extent) / 2 + recipe.max_shift
        centre = side * (0.5 + _symmetric(draws_NP[:, draw]) * freedom_of_place) - 0.5
        matrices[:, axis, axis] = sign * extent * side / size
        matrices[:, axis, 2] = centre - matrices[:, axis, axis] * (size / 2 - 0.5)
    return matrices


def to_float(pixels_NHWC: Tensor) -> Tensor:
    """Return uint8 pixels as (N, C, H, W) float32 0..1, channels last in memory."""
    return pixels_NHWC.permute(0, 3, 1, 2).float() / 255


def recolor(images_NCHW: Tensor, draws_NP: Tensor, name: Augment) -> Tensor:
    """Return (N, C, H, W) values 0..1, on the device, with the recipe's colour jitter and erasing.

    Args:
        images_NCHW: values 0..1; what comes back may lie a little outside.
        draws_NP: the lines of ``draw_randomness`` for the images.
        name: the recipe's name.
    """
    recipe = RECIPES[name]
    if recipe.brightness or recipe.contrast or recipe.saturation:
        images_NCHW = _jitter_color(images_NCHW, draws_NP, recipe)
    return _erase(images_NCHW, draws_NP, recipe.erase) if recipe.erase else images_NCHW


def _jitter_color(images_NCHW: Tensor, draws_NP: Tensor, recipe: Recipe) -> Tensor:
    """Shift brightness, scale contrast about the image's mean, and saturation about the pixel's grey."""
    strengths = draws_NP.new_tensor([recipe.brightness, recipe.contrast, recipe.saturation])
    brightness, contrast, saturation = (_symmetric(draws_NP[:, 5:8]) * strengths).T[:, :, None, None, None]
    mean = images_NCHW.mean(dim=(1, 2, 3), keepdim=True)
    grey = images_NCHW.mean(dim=1, keepdim=True)
    saturated = torch.lerp(grey, images_NCHW, 1 + saturation)
    jittered: Tensor = torch.lerp(mean, saturated, 1 + contrast) + brightness
    return jittered


def _erase(images_NCHW: Tensor, draws_NP: Tensor, probability: float) -> Tensor:
    """Fill a rectangle of random area, aspect and place with grey."""
    side = images_NCHW.shape[-1]
    area = 0.05 + 0.15 * draws_NP[:, 9]
    aspect = torch.exp(_symmetric(draws_NP[:, 10]) * math.log(_MAX_ERASED_ASPECT))
    width, height = torch.sqrt(area * aspect), torch.sqrt(area / aspect)
    left, top = draws_NP[:, 11] * (1 - width), draws_NP[:, 12] * (1 - height)
    centres = (torch.arange(side, device=images_NCHW.device) + 0.5) / side
    in_columns = (centres >= left[:, None]) & (centres < (left + width)[:, None])
    in_rows = (centres >= top[:, None]) & (centres < (top + height)[:, None])
    chosen = draws_NP[:, 8] < probability
    erased = (in_rows & chosen[:, None])[:, None, :, None] & in_columns[:, None, None, :]
    return images_NCHW.masked_fill(erased, _GREY)


def _symmetric(draws: Array) -> Array:
    """Return uniform numbers of 0..1 as -1..1."""
    return 2 * draws - 1
