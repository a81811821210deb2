"""Lays one image of a pair over the other, as a crop and a resize would have moved it, and measures what is left.

Shape legend: M pairs, S pixels of a side, t tiles of an axis.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from kaggle_ray.types import FloatArray, IntArray

_START = (0.025, 0.975)
"""The window that is half way to a crop of 5% at either end."""
_LOWEST, _HIGHEST = (-0.01, 0.92), (0.08, 1.01)
"""Limits of a window's two ends: crops of up to 5%, and what rounding adds."""
_LONGEST_STEP = 0.03
_NUM_COARSE_STEPS, _NUM_FINE_STEPS = 5, 5
_LEAST_CORRELATION, _MOST_EXCESS = 0.6, 6.0
"""Bounds at half the size, within which a pair of images is worth a fine alignment."""
_SMALLEST_GAIN = 0.2
_RIDGE = 1e-3
_FINE, _COARSE = 1.0, 4.0
"""Blurs, in pixels, between which the detail lies that is compared: what a re-encoding leaves, and no even shading."""
_NUM_TILES = 4
_LEAST_TILE_DETAIL = 2.0
"""Standard deviation in grey levels below which a tile holds little but what a re-encoding leaves."""
_NOISY_SIDE = 48
"""Pixels of an image's side below which fewer and fewer are averaged, so that a re-encoding changes more."""
_TINY = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How well two aligned images agree in their detail; grey levels are of 255."""

    correlation: FloatArray
    """(M,) correlation of the detail: 1 is equal up to brightness and contrast."""
    excess: FloatArray
    """(M,) difference in units of what a re-encoding may change: 1 grey level, and 5% of the contrast.

    Of an image of fewer than 48 pixels a side it is more grey levels: as the deviation of a mean grows, 48 / side.
    """
    tile_excess: FloatArray
    """(M,) excess in the second worst of 16 tiles: one may hold a caption."""
    tile_correlation: FloatArray
    """(M,) correlation of the detail in the second worst of the tiles that have any; 1 where fewer than two have."""


def detail(images: FloatArray) -> FloatArray:
    """Return (M, S, S) the structure of images between one pixel and four."""
    return np.asarray(_blurred(images, _FINE) - _blurred(images, _COARSE))


def compare(moved: FloatArray, fixed: FloatArray, sides: IntArray) -> Agreement:
    """Return how well ``fixed`` images (M, S, S) agree with the windows of ``moved`` ones that are most like them.

    Both were resized to S; ``sides`` (M,) are the pixels that the smallest side of the two had before.

    A window's two ends on each axis, a gain and an offset are found by Gauss-Newton, first at half the size. Pairs that
    have little in common there are not compared further: their correlation is 0.

    Source: B. D. Lucas and T. Kanade, "An iterative image registration technique", IJCAI 1981.
    """
    found = Agreement(
        correlation=np.zeros(len(moved), dtype=np.float32),
        excess=np.full(len(moved), np.inf, dtype=np.float32),
        tile_excess=np.full(len(moved), np.inf, dtype=np.float32),
        tile_correlation=np.zeros(len(moved), dtype=np.float32),
    )
    noise = np.maximum(1, _NOISY_SIDE / sides).astype(np.float32)
    start = np.tile(np.array([*_START, *_START], dtype=np.float32), (len(moved), 1))
    small_moved, small_fixed = _halved(moved), _halved(fixed)
    windows = _refined(small_moved, small_fixed, start, _NUM_COARSE_STEPS)
    roughly = _agreement(_windowed(small_moved, windows), small_fixed, noise)
    alike = (roughly.correlation >= _LEAST_CORRELATION) & (roughly.excess <= _MOST_EXCESS)
    moved, fixed = moved[alike], fixed[alike]
    windows = _refined(_blurred(moved, _FINE), _blurred(fixed, _FINE), windows[alike], _NUM_FINE_STEPS)
    finely = _agreement(_windowed(moved, windows), fixed, noise[alike])
    for field in fields(Agreement):
        getattr(found, field.name)[alike] = getattr(finely, field.name)
    return found


def _agreement(first: FloatArray, second: FloatArray, noise: FloatArray) -> Agreement:
    """Return how well two images (M, S, S) agree, of which a re-encoding changes ``noise`` (M,) grey levels."""
    first, second = detail(first), detail(second)
    correlation, excess = _compared(_flat(first), _flat(second), noise)
    first, second = _tiles(first), _tiles(second)
    of_tiles, tile_excess = _compared(first, second, noise[:, np.newaxis])
    has_detail = np.maximum(first.std(axis=2), second.std(axis=2)) >= _LEAST_TILE_DETAIL
    return Agreement(
        correlation=correlation,
        excess=excess,
        tile_excess=np.sort(tile_excess, axis=1)[:, -2],
        tile_correlation=np.sort(np.where(has_detail, of_tiles, 1), axis=1)[:, 1],
    )


def _compared(first: FloatArray, second: FloatArray, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (M, ...) correlation and excess over the last axis; ``noise`` in grey levels is (M,) or (M, 1)."""
    correlation, spread = _correlated(first, second)
    left = spread * np.sqrt(1 - np.clip(correlation, 0, 1) ** 2)
    return correlation, np.asarray(left / (noise + 0.05 * spread), dtype=np.float32)


def _correlated(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (M, ...) the correlation over the last axis, and the larger of both standard deviations."""
    first = first - first.mean(axis=-1, keepdims=True)
    second = second - second.mean(axis=-1, keepdims=True)
    spreads = np.sqrt((first**2).mean(axis=-1)), np.sqrt((second**2).mean(axis=-1))
    correlation = (first * second).mean(axis=-1) / (spreads[0] * spreads[1] + _TINY)
    return correlation, np.maximum(spreads[0], spreads[1])


def _refined(moved: FloatArray, fixed: FloatArray, windows: FloatArray, num_steps: int) -> FloatArray:
    """Return (M, 4) the windows after some steps: left and right, top and bottom, in shares of the side.

    The best of all steps is returned: on fine textures a step may overshoot.
    """
    num_pairs, side, _ = moved.shape
    share = ((np.arange(side) + 0.5) / side).astype(np.float32)
    lowest, highest = (np.array([*ends, *ends], dtype=np.float32) for ends in (_LOWEST, _HIGHEST))
    targets = fixed.reshape(num_pairs, side**2, 1)
    best, best_likeness = windows, np.full(num_pairs, -np.inf, dtype=np.float32)
    for step_number in range(num_steps + 1):
        shown = _windowed(moved, windows)
        likeness, _ = _correlated(_flat(shown), _flat(fixed))
        best = np.where((likeness > best_likeness)[:, np.newaxis], windows, best)
        best_likeness = np.maximum(likeness, best_likeness)
        if step_number == num_steps:
            break
        down, across = np.gradient(shown, axis=(1, 2))
        across *= (side / (windows[:, 1] - windows[:, 0]))[:, np.newaxis, np.newaxis]
        down *= (side / (windows[:, 3] - windows[:, 2]))[:, np.newaxis, np.newaxis]
        columns = [shown, np.ones_like(shown), across * (1 - share), across * share]
        columns += [down * (1 - share[:, np.newaxis]), down * share[:, np.newaxis]]
        change = np.stack(columns, axis=1).reshape(num_pairs, len(columns), side**2)
        solution = _solved(change @ change.transpose(0, 2, 1), change @ targets)
        step = solution[:, 2:] / np.maximum(solution[:, :1], _SMALLEST_GAIN)
        windows = np.clip(windows + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP), lowest, highest)
    return np.asarray(best)


def _solved(normal: FloatArray, right: FloatArray) -> FloatArray:
    """Return (M, P) the least-squares solutions; a small ridge keeps even images from having none."""
    scale = np.sqrt(np.diagonal(normal, axis1=1, axis2=2)) + _TINY
    scaled = normal / scale[:, :, np.newaxis] / scale[:, np.newaxis]
    scaled += _RIDGE * np.eye(normal.shape[1], dtype=np.float32)
    return np.asarray(np.linalg.solve(scaled, right / scale[:, :, np.newaxis])[..., 0] / scale)


def _windowed(images: FloatArray, windows: FloatArray) -> FloatArray:
    """Return (M, S, S) the windows of the images, resampled to their size."""
    across, down = (_weights(windows[:, ends], images.shape[1]) for ends in (slice(0, 2), slice(2, 4)))
    return np.asarray(down @ images @ across.transpose(0, 2, 1))


def _weights(ends: FloatArray, side: int) -> FloatArray:
    """Return (M, S, S) linear interpolation at S places between two ends (M, 2), in shares of the side."""
    share = (np.arange(side, dtype=np.float32) + 0.5) / side
    places = (ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * share) * side - 0.5
    distances = np.abs(np.clip(places, 0, side - 1)[:, :, np.newaxis] - np.arange(side, dtype=np.float32))
    return np.asarray(np.maximum(0, 1 - distances))


def _halved(images: FloatArray) -> FloatArray:
    num, side, _ = images.shape
    return np.asarray(images.reshape(num, side // 2, 2, side // 2, 2).mean(axis=(2, 4)))


def _blurred(images: FloatArray, pixels: float) -> FloatArray:
    blurred = [cv2.GaussianBlur(image, (0, 0), pixels, borderType=cv2.BORDER_REFLECT) for image in images]
    return np.stack(blurred) if blurred else images


def _flat(images: FloatArray) -> FloatArray:
    """Return (M, S * S); M may be 0, of which numpy tells no size by itself."""
    num, side, _ = images.shape
    return images.reshape(num, side**2)


def _tiles(images: FloatArray) -> FloatArray:
    """Return (M, t * t, pixels)."""
    num, side, _ = images.shape
    size = side // _NUM_TILES
    cut = images.reshape(num, _NUM_TILES, size, _NUM_TILES, size).transpose(0, 1, 3, 2, 4)
    return cut.reshape(num, _NUM_TILES**2, size**2)
