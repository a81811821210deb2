"""Geometry on whole batches of 8- or 16-bit pixels: resizing, and random crops, shifts and mirror images.

Every image is cut out in whole pixels and then resampled once, which is 3 to 4 times as fast as an affine map of it.

Shape suffixes: N images of a batch, H height, W width, C channels, M of the mask, P random numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from kaggle_ray.images.decode import Pixels
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, IntArray

MaskKind = Literal["mask", "labels"]
"""mask: a share of foreground of 0..255, which may be interpolated; labels: class numbers, which may not."""

_MAX_ASPECT = 4 / 3
_MAX_RESIZED_CHANNELS = 4
"""cv2.resize takes no more at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """What a random crop, shift and mirror image may do."""

    flip: bool = False
    """Mirror left and right, every other image."""
    min_area: float = 1.0
    """A crop keeps a fraction of the area from here to 1; its aspect is from 3/4 to 4/3 of the image's own."""
    max_shift: float = 0.0
    """Largest shift, as a fraction of the side; what comes in is mirrored at the border."""

    @property
    def moves(self) -> bool:
        """Whether any pixel is ever moved, but for resizing."""
        return self.flip or self.crops

    @property
    def crops(self) -> bool:
        """Whether anything but the whole image is ever cut out."""
        return self.min_area < 1 or self.max_shift > 0


def resize_pixels(pixels_NHWC: Pixels, height: int, width: int) -> Pixels:
    """Return (N, height, width, C) pixels, averaged over areas where they shrink; the same array where they fit."""
    if pixels_NHWC.shape[1:3] == (height, width):
        return pixels_NHWC
    shrinks = pixels_NHWC.shape[1] >= height and pixels_NHWC.shape[2] >= width
    return _resize(pixels_NHWC, height, width, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_masks(masks_NHWM: Pixels, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """Return (N, height, width, M) masks; class numbers are taken from the nearest pixel and never mixed."""
    if not nearest or masks_NHWM.shape[1:3] == (height, width):
        return resize_pixels(masks_NHWM, height, width)
    return _resize(masks_NHWM, height, width, cv2.INTER_NEAREST_EXACT)


def shrink_pixels(pixels_NHWC: Pixels, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """Return the images, shrunk by averaging by a whole factor where they stay at least ``height`` x ``width``.

    What interpolates afterwards shrinks by less than two, and so hardly aliases; averaging by a whole factor is fast.
    """
    factor = min(pixels_NHWC.shape[1] // height, pixels_NHWC.shape[2] // width)
    if factor < 2:
        return pixels_NHWC
    return resize_masks(pixels_NHWC, pixels_NHWC.shape[1] // factor, pixels_NHWC.shape[2] // factor, nearest=nearest)


def crop_batch(
    pixels_NHWC: Pixels, draws_NP: FloatArray, geometry: Geometry, height: int, width: int, *, nearest: bool = False
) -> Pixels:
    """Return (N, height, width, C) random crops and mirror images, the same ones for the same draws.

    Args:
        pixels_NHWC: 8- or 16-bit, of any size and number of channels.
        draws_NP: uniform numbers of each image.
        geometry: what may happen.
        height: of the result, in pixels.
        width: of the result, in pixels.
        nearest: take each pixel from the nearest one, for class numbers.
    """
    if not geometry.moves:
        return resize_masks(pixels_NHWC, height, width, nearest=nearest)
    mirrored = mirrors(draws_NP) & geometry.flip
    if not geometry.crops:
        whole = resize_masks(pixels_NHWC, height, width, nearest=nearest)
        return np.where(mirrored[:, None, None, None], whole[:, :, ::-1], whole)
    num, *sides, channels = pixels_NHWC.shape
    batch = np.empty((num, height, width, channels), dtype=pixels_NHWC.dtype)
    margins = [math.ceil(geometry.max_shift * side) for side in sides]
    tops, lefts, heights, widths = _boxes(draws_NP.astype(np.float64), geometry, sides, margins).T.tolist()
    interpolation = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_LINEAR
    unflipped = np.empty((height, width, channels), dtype=pixels_NHWC.dtype)
    for number, (image, result) in enumerate(zip(pixels_NHWC, batch, strict=True)):
        if any(margins):
            image = _pad(image, margins)
        top, left = tops[number] + margins[0], lefts[number] + margins[1]
        crop = image[top : top + heights[number], left : left + widths[number]]
        crop = shrink_pixels(crop[None], height, width, nearest=nearest)[0]
        if mirrored[number]:
            _resize_to(crop, unflipped, interpolation)
            cv2.flip(unflipped, 1, dst=result)
        else:
            _resize_to(crop, result, interpolation)
    return batch


def mirrors(draws_NP: FloatArray) -> BoolArray:
    """Return (N,) which images a geometry that mirrors does mirror."""
    return np.asarray(draws_NP[:, 4] < 0.5)


def _boxes(draws_NP: Float64Array, geometry: Geometry, sides: list[int], margins: list[int]) -> IntArray:
    """Return (N, 4) top, left, height and width in pixels of crops of random area, aspect and place.

    Args:
        draws_NP: uniform numbers of each image.
        geometry: what may happen.
        sides: height and width of the images.
        margins: how far a crop may lie outside of the image, above and below, left and right.
    """
    area = geometry.min_area + (1 - geometry.min_area) * draws_NP[:, 0]
    freedom = math.log(_MAX_ASPECT) if geometry.min_area < 1 else 0.0
    aspect = np.exp((2 * draws_NP[:, 1] - 1) * freedom)
    shares = np.minimum(np.sqrt(np.stack([area / aspect, area * aspect], axis=1)), 1)
    of_images, outside = np.array(sides), np.array(margins)
    extents = np.maximum(np.rint(shares * of_images), 1)
    freedom_of_place = of_images - extents + 2 * geometry.max_shift * of_images
    starts = (of_images - extents) / 2 + (draws_NP[:, [3, 2]] - 0.5) * freedom_of_place
    starts = np.clip(np.rint(starts), -outside, of_images - extents + outside)
    return np.concatenate([starts, extents], axis=1).astype(np.int64)


def _pad(image_HWC: Pixels, margins: list[int]) -> Pixels:
    """Return the image with its mirror images around it."""
    vertical, horizontal = margins
    padded = cv2.copyMakeBorder(image_HWC, vertical, vertical, horizontal, horizontal, cv2.BORDER_REFLECT_101)
    return np.asarray(padded).reshape(*padded.shape[:2], -1)


def _resize(pixels_NHWC: Pixels, height: int, width: int, interpolation: int) -> Pixels:
    num, *_, channels = pixels_NHWC.shape
    batch = np.empty((num, height, width, channels), dtype=pixels_NHWC.dtype)
    for image, result in zip(pixels_NHWC, batch, strict=True):
        _resize_to(image, result, interpolation)
    return batch


def _resize_to(image_HWC: Pixels, result_HWC: Pixels, interpolation: int) -> None:
    """Write the resized image to ``result_HWC``."""
    height, width, channels = result_HWC.shape
    if channels <= _MAX_RESIZED_CHANNELS:
        cv2.resize(image_HWC, (width, height), dst=result_HWC, interpolation=interpolation)
        return
    for first in range(0, channels, _MAX_RESIZED_CHANNELS):
        channel = slice(first, first + _MAX_RESIZED_CHANNELS)
        resized = cv2.resize(
            np.ascontiguousarray(image_HWC[..., channel]), (width, height), interpolation=interpolation
        )
        result_HWC[..., channel] = resized.reshape(height, width, -1)
