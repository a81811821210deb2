"""What may be the mask in a mask's file: its colours, its alpha channel, or the numbers of a palette.

Shape legend: H and W pixels, C channels.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from kaggle_ray.data.reading import MaskForm, MaskReading
from kaggle_ray.errors import DataError
from kaggle_ray.images.file_pixels import check_size, decoded, decoding
from kaggle_ray.types import BoolArray

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

Palette = Sequence[Sequence[int]]
"""Numbers of colours, each with its red, green and blue."""

_ORIENTATION = 0x0112
"""EXIF tag that says how a photograph lies."""
_COLORFUL = 16
"""Difference of 255 between a pixel's red, green and blue above which it is not grey, even if a JPEG's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPlanes:
    """A mask's file as its pixels are stored, but turned as its EXIF data says."""

    colors: Plane
    """(H, W) the grey value of each pixel, or the largest of its red, green and blue."""
    alpha: Plane | None
    """(H, W) None where the file has no alpha channel."""
    numbers: Plane | None
    """(H, W) the numbers of a palette's colours, None where the file has no palette."""
    palette: Palette
    """Colours of the numbers that occur; empty where the file has no palette."""
    is_colored: bool
    """Whether any pixel is not grey."""
    is_lossy: bool
    """Whether values may be others than were saved, as in a JPEG."""

    @property
    def form(self) -> MaskForm:
        """Form of the colours' values, and of the alpha channel's."""
        return "8 bits" if self.colors.dtype == np.uint8 else "16 bits"

    def foreground(self, reading: MaskReading) -> BoolArray:
        """Return (H, W) which pixels of a binary mask are foreground."""
        plane, form = self.colors, self.form
        if reading.alpha and self.alpha is not None:
            plane = self.alpha
        elif reading.palette_numbers and self.numbers is not None:
            plane, form = self.numbers, "palette"
        return np.asarray(plane > reading.cut(form, int(plane.max())))


def planes_of(path: Path, content: bytes) -> MaskPlanes:
    """Return what may be the mask in the ``content`` of a file.

    Floating point numbers that are not whole are spread over 8 bits where they are at most 1, and rounded.

    Raises:
        DataError: it does not decode as an image, or has values below 0, above 65535 or not finite.
    """
    check_size(path, content)
    with decoding(path, content), Image.open(io.BytesIO(content)) as image:
        kind, mode, orientation = image.format, image.mode, orientation_of(image)
        numbers, colors_of_file = (np.array(image), image.getpalette("RGB")) if mode == "P" else (None, None)
    is_rounded, alpha = False, None
    palette: Palette = ()
    if numbers is not None:
        colors, palette = _colors_of(numbers, colors_of_file)
        is_colored = any(max(color) - min(color) > _COLORFUL for _, *color in palette)
    else:
        pixels, is_rounded = _decoded(path, content)
        colors, alpha, is_colored = _channels_of(pixels)
    if kind == "TIFF":  # which OpenCV has turned
        orientation = 1
    return MaskPlanes(
        colors=_turned(colors, orientation),
        alpha=None if alpha is None else _turned(alpha, orientation),
        numbers=None if numbers is None else _turned(numbers, orientation),
        palette=palette,
        is_colored=is_colored,
        is_lossy=is_rounded or kind in ("JPEG", "MPO") or (kind == "WEBP" and content[12:16] == b"VP8 "),
    )


def orientation_of(image: Image.Image) -> int:
    """Return how the pixels of a file lie, by its EXIF data: 1 is as they are shown, 5 to 8 swap height and width."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _colors_of(numbers: Plane, of_file: Sequence[int] | None) -> tuple[Plane, Palette]:
    """Return (H, W) the largest of red, green and blue of a palette's ``numbers`` (H, W), and the colours that occur.

    OpenCV takes three times as long over a GIF.
    """
    colors = np.zeros((256, 3), dtype=np.uint8)
    declared = np.array(of_file or (), dtype=np.uint8).reshape(-1, 3)
    colors[: len(declared)] = declared
    used = np.flatnonzero(cv2.calcHist([numbers], [0], None, [256], [0, 256])).tolist()
    return cv2.LUT(numbers, colors.max(axis=1)), [[number, *colors[number].tolist()] for number in used]


def _channels_of(pixels: Plane) -> tuple[Plane, Plane | None, bool]:
    """Return (H, W) the largest of red, green and blue, the alpha channel, and whether any is no grey."""
    if pixels.ndim == 2:
        return pixels, None, False
    *colors, last = cv2.split(pixels)
    alpha = last if len(colors) in (1, 3) else None
    colors = colors if alpha is not None else [*colors, last]
    highest, lowest = reduce(cv2.max, colors), reduce(cv2.min, colors)
    unit = 1 if pixels.dtype == np.uint8 else 257
    return highest, alpha, bool((cv2.subtract(highest, lowest) > _COLORFUL * unit).any())


def _decoded(path: Path, content: bytes) -> tuple[Plane, bool]:
    """Return (H, W) or (H, W, C) of 8 or 16 bits, and whether values had to be rounded for it."""
    pixels = decoded(path, content, cv2.IMREAD_UNCHANGED)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels, False
    lowest, highest = float(pixels.min()), float(pixels.max())
    if not (lowest >= 0 and highest <= 65535):  # which is so of NaN, too
        raise DataError(f"{path}: expected values of a mask from 0 to 65535, got {lowest:g} to {highest:g}.")
    if is_rounded := bool((pixels != np.rint(pixels)).any()):
        pixels = pixels * 255 if highest <= 1 else pixels
    rounded = np.rint(pixels)
    return rounded.astype(np.uint8) if highest <= 255 else rounded.astype(np.uint16), is_rounded


def _turned(pixels: Plane, orientation: int) -> Plane:
    """Return pixels as they are shown. Source: JEITA CP-3451 (EXIF), tag Orientation."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    vertical, horizontal = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    pixels = pixels[::-1] if vertical else pixels
    pixels = pixels[:, ::-1] if horizontal else pixels
    return pixels if pixels.flags.c_contiguous else pixels.copy()
