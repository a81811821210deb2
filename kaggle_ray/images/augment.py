"""Augmentation by the name of a recipe: geometry on 8- or 16-bit pixels on the CPU, colour on the device.

Our own recipes (none, flip, shift, light, heavy) resample each image once on the CPU and jitter colours on the device;
the others are pipelines of albumentations, which do all on the CPU. Either way what happens to a sample is a function
of its key, and that of (seed, fold, epoch, sample id).

Shape suffixes: N images of a batch, H height, W width, C channels, M of the mask, P random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from kaggle_ray.errors import ConfigError
from kaggle_ray.images.color import Color, jitter_and_erase, to_float
from kaggle_ray.images.compose import AUGMENTATIONS, compose_batch, register_augmentation
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.geometry import Geometry, MaskKind, crop_batch, mirrors, resize_masks, resize_pixels
from kaggle_ray.images.randomness import NUM_DRAWS, Keys, draws_of, id_hashes, sample_keys

if TYPE_CHECKING:
    import albumentations

__all__ = [
    "NUM_DRAWS",
    "RECIPES",
    "Keys",
    "Recipe",
    "augment_batch",
    "check_recipe",
    "draws_of",
    "id_hashes",
    "mirrors",
    "recipe_names",
    "recolor",
    "recolors",
    "register_augmentation",
    "resize_masks",
    "resize_pixels",
    "sample_keys",
    "to_float",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One of our own."""

    geometry: Geometry = field(default_factory=Geometry)
    """Moves of the pixels, made on the CPU."""
    color: Color = field(default_factory=Color)
    """Changes of the colours, made on the device."""


RECIPES: dict[str, Recipe] = {
    "none": Recipe(),
    "flip": Recipe(geometry=Geometry(flip=True)),
    "shift": Recipe(geometry=Geometry(max_shift=0.125)),
    "light": Recipe(geometry=Geometry(flip=True, min_area=0.6)),
    "heavy": Recipe(
        geometry=Geometry(flip=True, min_area=0.3),
        color=Color(brightness=0.15, contrast=0.3, saturation=0.4, erase=0.5),
    ),
}


def recipe_names() -> list[str]:
    """Return the names of all recipes, those that were registered included."""
    return AUGMENTATIONS.names()


def check_recipe(name: str) -> None:
    """Raise ConfigError, with the nearest known name, where there is no recipe of this name."""
    AUGMENTATIONS.check(name)


def augment_batch(
    pixels_NHWC: Pixels,
    masks_NHWM: Pixels | None,
    keys: Keys | Sequence[int],
    recipe: str | albumentations.Compose,
    height: int,
    width: int,
    *,
    mask_kind: MaskKind = "mask",
) -> tuple[Pixels, Pixels | None]:
    """Return (N, height, width, C) images and (N, height, width, M) masks that were moved along with them.

    Args:
        pixels_NHWC: 8- or 16-bit; our own recipes take any number of channels.
        masks_NHWM: one for each image, or None.
        keys: (N,) from ``sample_keys``: all that the randomness is a function of.
        recipe: its name, or a Compose.
        height: of the result, in pixels.
        width: of the result, in pixels.
        mask_kind: whether masks are shares of 0..255 or class numbers.

    Raises:
        ConfigError: there is no such recipe, or it does not take these images.
    """
    keys = np.asarray(keys, dtype=np.uint64)
    if pixels_NHWC.dtype.kind == "f" and is_for_photographs(recipe):
        raise ConfigError(
            f"augment: {recipe!r} changes colours, which go from dark to bright, and these images are numbers of any "
            f"scale. Take none, shift or light, or register one of your own."
        )
    if not isinstance(recipe, str) or recipe not in RECIPES:
        if isinstance(recipe, str):
            check_recipe(recipe)
        return compose_batch(pixels_NHWC, masks_NHWM, keys, recipe, height, width, mask_kind)
    geometry, nearest = RECIPES[recipe].geometry, mask_kind == "labels"
    if not geometry.moves:
        resized = None if masks_NHWM is None else resize_masks(masks_NHWM, height, width, nearest=nearest)
        return resize_pixels(pixels_NHWC, height, width), resized
    draws_NP = draws_of(keys)
    images = crop_batch(pixels_NHWC, draws_NP, geometry, height, width)
    if masks_NHWM is None:
        return images, None
    return images, crop_batch(masks_NHWM, draws_NP, geometry, height, width, nearest=nearest)


def is_for_photographs(recipe: str | albumentations.Compose) -> bool:
    """Return whether a recipe of ours changes colours, and so takes no numbers of any other scale than theirs."""
    return isinstance(recipe, str) and (
        recolors(recipe) or (recipe not in RECIPES and AUGMENTATIONS.is_built_in(recipe))
    )


def recolors(recipe: str | albumentations.Compose) -> bool:
    """Return whether ``recolor`` would change anything."""
    own = RECIPES.get(recipe) if isinstance(recipe, str) else None
    return own is not None and own.color != Color()


def recolor(images_NCHW: Tensor, draws_NP: Tensor, recipe: str | albumentations.Compose) -> Tensor:
    """Return (N, C, H, W) values 0..1, on the device, with the recipe's colour jitter and erasing.

    Args:
        images_NCHW: values 0..1; what comes back may lie a little outside.
        draws_NP: ``draws_of`` the images' keys.
        recipe: its name; what albumentations recolours it has recoloured before.
    """
    own = RECIPES.get(recipe) if isinstance(recipe, str) else None
    return images_NCHW if own is None else jitter_and_erase(images_NCHW, draws_NP, own.color)
