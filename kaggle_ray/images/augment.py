"""Augmentation of whole batches on the device, by named recipes.

Every random number is a function of (seed, fold, epoch, row), whatever the batch or process that a row comes in.

Shape suffixes: N images of a batch, H height, W width, C = 3 channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kaggle_ray.config import Augment
from kaggle_ray.types import FloatArray

_NUM_DRAWS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a random crop, mirror and colour jitter may do."""

    flip: bool = False
    """Mirror left and right, every other image."""
    min_area: float = 1.0
    """A crop keeps a fraction of the area from here to 1, and is resized to the full size."""
    max_shift: float = 0.0
    """Largest shift, as a fraction of the side; what comes in is mirrored at the border."""
    color: float = 0.0
    """Brightness, contrast and saturation are each scaled by 1 - color to 1 + color."""


RECIPES: dict[Augment, Recipe] = {
    "none": Recipe(),
    "shift": Recipe(max_shift=0.125),
    "flip_crop": Recipe(flip=True, min_area=0.5),
    "flip_crop_color": Recipe(flip=True, min_area=0.5, color=0.3),
}


def draw_randomness(seed: int, num_rows: int) -> FloatArray:
    """Return (num_rows, 10) uniform numbers, one line a row, for one epoch whose ``seed`` is derived for it."""
    return np.random.default_rng(seed).random((num_rows, _NUM_DRAWS), dtype=np.float32)


def to_float(pixels_NHWC: Tensor) -> Tensor:
    """Return uint8 pixels as (N, C, H, W) float32 0..1, channels last in memory."""
    return pixels_NHWC.permute(0, 3, 1, 2).float() / 255


def augment(pixels_NHWC: Tensor, draws: Tensor, name: Augment) -> Tensor:
    """Return uint8 pixels as augmented (N, C, H, W) float32 0..1.

    Args:
        pixels_NHWC: uint8.
        draws: (N, 10) of ``draw_randomness``, the line of each image.
        name: the recipe's name.
    """
    recipe = RECIPES[name]
    images_NCHW = to_float(pixels_NHWC)
    if recipe.flip or recipe.max_shift or recipe.min_area < 1:
        images_NCHW = _crop_and_flip(images_NCHW, draws, recipe)
    if recipe.color:
        images_NCHW = _jitter_color(images_NCHW, draws, recipe.color)
    return images_NCHW


def _crop_and_flip(images_NCHW: Tensor, draws: Tensor, recipe: Recipe) -> Tensor:
    """Resample by one affine map per image: a crop of random area, aspect and place, and a mirror image."""
    area = recipe.min_area + (1 - recipe.min_area) * draws[:, 0]
    log_aspect = (2 * draws[:, 1] - 1) * np.log(4 / 3) if recipe.min_area < 1 else torch.zeros_like(area)
    scale_x = torch.sqrt(area * torch.exp(log_aspect)).clamp(max=1)
    scale_y = torch.sqrt(area / torch.exp(log_aspect)).clamp(max=1)
    theta = images_NCHW.new_zeros(len(images_NCHW), 2, 3)
    theta[:, 0, 0] = scale_x * torch.where(draws[:, 4] < 0.5, -1.0, 1.0) if recipe.flip else scale_x
    theta[:, 1, 1] = scale_y
    theta[:, 0, 2] = (2 * draws[:, 2] - 1) * (1 - scale_x + 2 * recipe.max_shift)
    theta[:, 1, 2] = (2 * draws[:, 3] - 1) * (1 - scale_y + 2 * recipe.max_shift)
    grid = functional.affine_grid(theta, list(images_NCHW.shape), align_corners=False)
    sampled: Tensor = functional.grid_sample(images_NCHW, grid, padding_mode="reflection", align_corners=False)
    return sampled


def _jitter_color(images_NCHW: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Scale brightness, then contrast about the image's mean, then saturation about the pixel's grey."""
    brightness, contrast, saturation = (1 + (2 * draws[:, 5:8] - 1) * strength).T[:, :, None, None, None]
    images_NCHW = images_NCHW * brightness
    mean = images_NCHW.mean(dim=(1, 2, 3), keepdim=True)
    images_NCHW = (images_NCHW - mean) * contrast + mean
    grey = images_NCHW.mean(dim=1, keepdim=True)
    jittered: Tensor = ((images_NCHW - grey) * saturation + grey).clamp(0, 1)
    return jittered
