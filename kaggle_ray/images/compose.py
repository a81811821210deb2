"""Augmentation by albumentations: named recipes of ours, and those that a competition's file registers.

albumentations takes seconds to import, so that it is imported where a recipe is first built, and never asks the network
for a newer version of itself.

Shape suffixes: N images of a batch, H height, W width, C channels, M of the mask.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.geometry import MaskKind, shrink_pixels
from kaggle_ray.images.randomness import Keys
from kaggle_ray.registry import Registry
from kaggle_ray.types import FloatArray

if TYPE_CHECKING:
    import albumentations

Builder = Callable[[int, int], "albumentations.Compose"]
"""Makes the transformation for images that come out with a height and a width, in pixels."""

AUGMENTATIONS: Registry[Builder] = Registry(
    "augmentation", reserved=("none", "flip", "shift", "light", "heavy"), of_given=lambda name, build: build
)
"""Recipes of albumentations: ours, of images that are less than two times too large (what is larger is shrunk by
averaging first), and those that a competition's file registers. The reserved ones do without albumentations."""

_RESIZING = {"mask_interpolation": cv2.INTER_NEAREST_EXACT}
"""cv2's plain nearest pixel lies half a pixel off."""


def register_augmentation(name: str) -> Callable[[Builder], Builder]:
    """Register a builder ``(height, width) -> albumentations.Compose`` as the recipe ``name``.

    The Compose gets uint8 images of the size that they are stored at, with the mask if there is one, and has to return
    uint8 images of height x width pixels: it resizes or crops, and leaves normalisation to the model. Import
    albumentations within the builder: it takes seconds, and not every process needs it. Masks of 0..255 are
    interpolated linearly, unless the Compose has a ``mask_interpolation`` of its own; of class numbers each transform
    takes the nearest, as is albumentations' default.

    >>> from kaggle_ray import register_augmentation
    >>> @register_augmentation("mirrored")
    ... def mirrored(height, width):
    ...     import albumentations
    ...
    ...     return albumentations.Compose([albumentations.Resize(height, width), albumentations.HorizontalFlip()])

    Raises:
        ConfigError: the name is built in, or another builder has it.
    """
    return AUGMENTATIONS.register(name)


def compose_batch(
    pixels_NHWC: Pixels,
    masks_NHWM: Pixels | None,
    keys: Keys,
    recipe: str | albumentations.Compose,
    height: int,
    width: int,
    mask_kind: MaskKind,
) -> tuple[Pixels, Pixels | None]:
    """Return (N, height, width, C) images and (N, height, width, M) masks, transformed one by one.

    Our own recipes see images of 16 bits as float32 of 0..1, for some transforms do not take whole numbers so large.

    Raises:
        ConfigError: the recipe raises, or returns another size or dtype.
    """
    is_ours = isinstance(recipe, str) and AUGMENTATIONS.is_built_in(recipe)
    if is_ours:
        pixels_NHWC = shrink_pixels(pixels_NHWC, height, width)
        if masks_NHWM is not None:
            masks_NHWM = shrink_pixels(masks_NHWM, height, width, nearest=mask_kind == "labels")
    if isinstance(recipe, str):
        composed = _built(AUGMENTATIONS[recipe], recipe, height, width, mask_kind, threading.get_ident())
    else:
        composed = _Seeded("the Compose given", recipe, mask_kind)
    if not is_ours or pixels_NHWC.dtype == np.uint8:
        return _transformed(composed, pixels_NHWC, masks_NHWM, keys, height, width)
    shares, masks = _transformed(
        composed, pixels_NHWC.astype(np.float32) / np.float32(65535), masks_NHWM, keys, height, width
    )
    return np.rint(shares.clip(0, 1) * 65535).astype(np.uint16), masks


def _transformed(
    composed: _Seeded,
    pixels_NHWC: Pixels | FloatArray,
    masks_NHWM: Pixels | None,
    keys: Keys,
    height: int,
    width: int,
) -> tuple[Any, Pixels | None]:
    """Return (N, height, width, C) images, of the dtype that they came in, and (N, height, width, M) masks."""
    images = np.empty((len(pixels_NHWC), height, width, pixels_NHWC.shape[3]), dtype=pixels_NHWC.dtype)
    if masks_NHWM is None:
        for image, key, result in zip(pixels_NHWC, keys.tolist(), images, strict=True):
            composed.transform({"image": image}, {"image": result}, key)
        return images, None
    masks = np.empty((len(masks_NHWM), height, width, masks_NHWM.shape[3]), dtype=masks_NHWM.dtype)
    for image, mask, key, result, of_mask in zip(pixels_NHWC, masks_NHWM, keys.tolist(), images, masks, strict=True):
        composed.transform({"image": image, "mask": mask}, {"image": result, "mask": of_mask}, key)
    return images, masks


class _Seeded:
    """A Compose whose random numbers are those of a key.

    ``Compose.set_random_seed`` is not used: it gives each transform a generator of its own with the same seed, so that
    a mirrored image would always be a bright one too. Here all of them draw from the same two generators in turn, which
    are set back for each image; that is also faster.
    """

    def __init__(self, name: str, compose: albumentations.Compose, mask_kind: MaskKind) -> None:
        self._name = name
        self._compose = compose
        self._generator = np.random.Generator(np.random.Philox(0))
        self._state: Any = self._generator.bit_generator.state
        self._random = random.Random(0)
        if mask_kind == "mask" and compose.mask_interpolation is None:
            compose.set_mask_interpolation(cv2.INTER_LINEAR)
        compose.set_random_state(self._generator, self._random)

    def transform(
        self, inputs: dict[str, Pixels | FloatArray], results: dict[str, Pixels | FloatArray], key: int
    ) -> None:
        """Write the transformed ``inputs`` to ``results``, arrays (H, W, C) by target."""
        self._random.seed(key)
        cv2.setRNGSeed(key % 2**31)  # some noise is drawn by cv2
        self._state["state"]["key"][:] = (key, 0)
        self._generator.bit_generator.state = self._state
        shown = ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in inputs.items())
        with users_code(f"augmentation {self._name!r} on {shown}"):
            outputs = self._compose(**inputs)
        for target, result in results.items():
            output = outputs[target]
            shape = (*output.shape, 1) if output.ndim == 2 else output.shape
            if shape != result.shape or output.dtype != result.dtype:
                raise ConfigError(
                    f"augmentation {self._name!r}: expected {target} {result.shape} {result.dtype}, got {output.shape} "
                    f"{output.dtype}. Let it end with a resize or crop, and leave out what makes floats of it."
                )
            result[:] = output.reshape(shape)


@lru_cache(maxsize=32)
def _built(builder: Builder, name: str, height: int, width: int, mask_kind: MaskKind, thread: int) -> _Seeded:
    """Return a recipe built once for each size and ``thread``: its random numbers are those of one image at a time."""
    with users_code(f"augmentation {name!r}"):
        composed = builder(height, width)
    return _Seeded(name, composed, mask_kind)


def _albumentations() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


@AUGMENTATIONS.register("medium")
def _medium(height: int, width: int) -> albumentations.Compose:
    """Mirror images, modest moves, brightness and contrast: for photographs."""
    transforms = _albumentations()
    return transforms.Compose(
        [
            _resize(height, width),
            transforms.HorizontalFlip(p=0.5),
            _move(scale=0.15, degrees=12, shift=0.06),
            transforms.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.2, p=0.8),
        ],
        is_check_shapes=False,
    )


@AUGMENTATIONS.register("dihedral")
def _dihedral(height: int, width: int) -> albumentations.Compose:
    """All symmetries of a square, or of a rectangle, and slight crops and colours: for views from above."""
    transforms = _albumentations()
    mirrors = [transforms.HorizontalFlip(p=0.5), transforms.VerticalFlip(p=0.5)]
    ratios = 0.9 * width / height, width / height / 0.9
    return transforms.Compose(
        [
            *([transforms.D4(p=1)] if height == width else mirrors),
            transforms.RandomResizedCrop((height, width), scale=(0.7, 1), ratio=ratios, **_RESIZING, p=1),
            transforms.RandomBrightnessContrast(brightness_limit=0.1, contrast_limit=0.15, p=0.8),
        ],
        is_check_shapes=False,
    )


@AUGMENTATIONS.register("segmentation")
def _segmentation(height: int, width: int) -> albumentations.Compose:
    """Mirror images, moves, brightness, contrast and gamma: for images with masks."""
    transforms = _albumentations()
    return transforms.Compose(
        [
            _resize(height, width),
            transforms.HorizontalFlip(p=0.5),
            _move(scale=0.2, degrees=10, shift=0.06),
            transforms.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.2, p=0.5),
            transforms.RandomGamma(gamma_limit=(80, 125), p=0.5),
        ],
        is_check_shapes=False,
    )


def _resize(height: int, width: int) -> Any:
    return _albumentations().Resize(height, width, **_RESIZING, p=1)


def _move(*, scale: float, degrees: float, shift: float) -> Any:
    """Scale by 1 - ``scale`` to 1 / (1 - ``scale``), rotate and shift; what comes in is mirrored at the border."""
    return _albumentations().Affine(
        scale=(1 - scale, 1 / (1 - scale)),
        rotate=(-degrees, degrees),
        translate_percent=(-shift, shift),
        balanced_scale=True,
        keep_ratio=True,
        border_mode=cv2.BORDER_REFLECT_101,
        p=1,
    )
