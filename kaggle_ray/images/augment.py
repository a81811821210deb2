"""Augmentation of whole batches on the device, by named recipes.

Every random number is a function of (seed, fold, epoch, row), whatever the batch or process that a row comes in.

Shape suffixes: N images of a batch, H height, W width, C = 3 channels, P random numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kaggle_ray.config import Augment
from kaggle_ray.types import FloatArray

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


def to_float(pixels_NHWC: Tensor, size: int) -> Tensor:
    """Return uint8 pixels as (N, C, size, size) float32 0..1, channels last in memory; shrunk by averaging areas."""
    images_NCHW = pixels_NHWC.permute(0, 3, 1, 2).float() / 255
    if images_NCHW.shape[-1] == size:
        return images_NCHW
    resized: Tensor = functional.interpolate(images_NCHW, size=(size, size), mode="bilinear", antialias=True)
    return resized


def augment(pixels_NHWC: Tensor, draws_NP: Tensor, name: Augment, size: int) -> Tensor:
    """Return uint8 pixels as augmented (N, C, size, size) float32 0..1.

    Args:
        pixels_NHWC: uint8.
        draws_NP: the lines of ``draw_randomness`` for the images.
        name: the recipe's name.
        size: side of the result, in pixels.
    """
    recipe = RECIPES[name]
    if recipe.flip or recipe.max_shift or recipe.min_area < 1:
        images_NCHW = _crop_and_flip(pixels_NHWC.permute(0, 3, 1, 2).float() / 255, draws_NP, recipe, size)
    else:
        images_NCHW = to_float(pixels_NHWC, size)
    if recipe.brightness or recipe.contrast or recipe.saturation:
        images_NCHW = _jitter_color(images_NCHW, draws_NP, recipe)
    return _erase(images_NCHW, draws_NP, recipe.erase) if recipe.erase else images_NCHW


def _crop_and_flip(images_NCHW: Tensor, draws_NP: Tensor, recipe: Recipe, size: int) -> Tensor:
    """Resample by one affine map per image: a crop of random area, aspect and place, and a mirror image."""
    area = recipe.min_area + (1 - recipe.min_area) * draws_NP[:, 0]
    freedom = math.log(_MAX_ASPECT) if recipe.min_area < 1 else 0.0
    aspect = torch.exp(_symmetric(draws_NP[:, 1]) * freedom)
    scale_x, scale_y = torch.sqrt(area * aspect).clamp(max=1), torch.sqrt(area / aspect).clamp(max=1)
    mirror = torch.where(draws_NP[:, 4] < 0.5, -1.0, 1.0) if recipe.flip else torch.ones_like(area)
    theta = images_NCHW.new_zeros(len(images_NCHW), 2, 3)
    theta[:, 0, 0] = scale_x * mirror
    theta[:, 1, 1] = scale_y
    theta[:, 0, 2] = _symmetric(draws_NP[:, 2]) * (1 - scale_x + 2 * recipe.max_shift)
    theta[:, 1, 2] = _symmetric(draws_NP[:, 3]) * (1 - scale_y + 2 * recipe.max_shift)
    grid = functional.affine_grid(theta, [*images_NCHW.shape[:2], size, size], align_corners=False)
    sampled: Tensor = functional.grid_sample(images_NCHW, grid, padding_mode="reflection", align_corners=False)
    return sampled


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


def _symmetric(draws: Tensor) -> Tensor:
    """Return uniform numbers of 0..1 as -1..1."""
    return 2 * draws - 1
