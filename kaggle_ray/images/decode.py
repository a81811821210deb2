"""Decodes one image file to pixels of a wanted size, whatever its kind.

Shape legend: H and W pixels, C channels.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from kaggle_ray.counted import counted
from kaggle_ray.data.reading import ImageReading, MaskReading
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError
from kaggle_ray.images.file_pixels import decoded
from kaggle_ray.images.jpeg import read_header
from kaggle_ray.images.planes import planes_of

Pixels = npt.NDArray[np.uint8]
"""uint8; images of 16-bit files are uint16 and stay it, and what a reader gives of other numbers is float32."""

PixelKind = Literal["image", "mask", "labels"]

_REDUCED = {
    3: {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8},
    1: {2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 8: cv2.IMREAD_REDUCED_GRAYSCALE_8},
}
"""OpenCV's flags by channels and by the factor that the decoder shrinks by."""
_FULL = {3: cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, 1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH}


def decode_image(
    path: Path,
    height: int,
    width: int,
    *,
    kind: PixelKind = "image",
    channels: int = 3,
    num_classes: int = 256,
    image_reading: ImageReading | None = None,
    mask_reading: MaskReading | None = None,
) -> Pixels:
    """Return (height, width, C) pixels; the aspect ratio is not kept, and shrinking averages areas.

    Args:
        path: of a JPEG (CMYK, too), PNG, GIF (its first frame), TIFF, BMP or WebP file; turned as its EXIF data says.
        height: of the result, in pixels.
        width: of the result, in pixels.
        kind: ``image``: red, green and blue, or the file's own ``channels``; ``mask``: the share of each pixel, 0..255,
            that is foreground; ``labels``: the class number of the nearest pixel. Masks and labels have one channel.
        channels: of an image; 3 are red, green and blue, 1 is grey.
        num_classes: of labels, which are numbered from 0.
        image_reading: the bits that an image has to have, and the values of 16 bits that become 0 and 65535; None
            takes all as they are.
        mask_reading: which values of a mask are foreground; None is all but black.

    Raises:
        DataError: the file is missing, empty, truncated, no image, has another number of channels or bits, or a pixel
            of labels is of no class.
    """
    content = read_content(path)
    if kind == "labels":
        return _resized(_decode_labels(path, content, num_classes), height, width, cv2.INTER_NEAREST_EXACT)
    if kind == "mask":
        is_there = planes_of(path, content).foreground(mask_reading or MaskReading())
        return _shrunk_or_grown(np.where(is_there, np.uint8(255), np.uint8(0)), height, width)
    image_reading = image_reading or ImageReading()
    flags = cv2.IMREAD_IGNORE_ORIENTATION if image_reading.as_stored else 0
    pixels = _decode_reduced(path, content, height, width, channels, flags)
    if pixels is None:
        pixels = _decode(path, content, _FULL.get(channels, cv2.IMREAD_UNCHANGED) | flags)
        _check_channels(pixels, path, channels)
        pixels = _shrunk_or_grown(pixels, height, width)
    _check_bits(pixels, path, image_reading)
    return _in_rgb_order(_stretched(pixels, image_reading))


def fit_pixels(
    pixels: Pixels, height: int, width: int, *, channels: int = 3, image_reading: ImageReading | None = None
) -> Pixels:
    """Return (height, width, C) what ``decode_image`` makes of an image, of its pixels that are decoded already.

    Args:
        pixels: (H, W, C), red first, or (H, W) of one channel: uint8 or uint16.
        height: of the result, in pixels.
        width: of the result, in pixels.
        channels: of the image.
        image_reading: as of ``decode_image``.

    Raises:
        DataError: the array is no image, or has another number of channels or bits.
    """
    array = f"an array {pixels.shape} of {pixels.dtype}"
    if pixels.ndim not in (2, 3) or not pixels.size or pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{array}: expected (H, W, {channels}) pixels of uint8 or uint16.")
    reading = image_reading or ImageReading()
    _check_channels(pixels, array, channels)
    _check_bits(pixels, array, reading)
    return _stretched(_shrunk_or_grown(np.ascontiguousarray(pixels), height, width), reading)


def _decode_reduced(path: Path, content: bytes, height: int, width: int, channels: int, flags: int) -> Pixels | None:
    """Return (height, width, C) of a JPEG that is much larger, None where it has to be decoded in full.

    Where the factor does not divide a side, the last of the decoded pixels stands for a part of its area only; that is
    accounted for, or else the image would be shifted by up to a pixel.
    """
    header = read_header(content) if channels in _REDUCED else None
    factor = 1 if header is None else header.reduction(height, width)
    if header is None or factor == 1:
        return None
    pixels = decoded(path, content, _REDUCED[channels][factor] | flags, shrunk_by=factor)
    sides = header.height / factor, header.width / factor
    if header.has_exif and pixels.shape[:2] == sides[::-1]:
        sides = sides[::-1]
    if pixels.shape[:2] != (math.ceil(sides[0]), math.ceil(sides[1])):
        return None
    shrunk = cv2.resize(pixels, None, fx=width / sides[1], fy=height / sides[0], interpolation=cv2.INTER_AREA)
    return _with_channels(np.ascontiguousarray(shrunk[:height, :width]))


def _decode(path: Path, content: bytes, flags: int) -> Pixels:
    """Return (H, W) or (H, W, C) in OpenCV's order."""
    pixels = decoded(path, content, flags)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: expected 8 or 16 bits per channel, got {pixels.dtype}.")
    return pixels


def _decode_labels(path: Path, content: bytes, num_classes: int) -> Pixels:
    """Return (H, W) the class numbers of a palette or grey image."""
    planes = planes_of(path, content)
    labels = planes.colors if planes.numbers is None else planes.numbers
    expected = f"{path}: expected a palette or grey image of class numbers 0..{num_classes - 1}"
    if planes.numbers is None and planes.is_colored:
        raise DataError(f"{expected}, got colours. Save the numbers of the classes instead of their colours.")
    if planes.is_lossy:
        raise DataError(f"{expected}, got a JPEG or the like, which does not keep numbers. Save them as PNG.")
    if planes.alpha is not None and (planes.alpha != planes.alpha.flat[0]).any():
        raise DataError(f"{expected}, got a transparent one: its numbers may be in the alpha channel. Save it without.")
    if (is_wrong := labels >= num_classes).any():
        raise DataError(
            f"{path}: expected class numbers 0..{num_classes - 1}, got {labels[is_wrong][0]} and the like in "
            f"{np.count_nonzero(is_wrong)} of {counted(labels.size, 'pixel')}. Give them a class, or the competition "
            "one more."
        )
    return labels.astype(np.uint8)


def _check_bits(pixels: Pixels, where: Path | str, reading: ImageReading) -> None:
    bits = 8 * pixels.itemsize
    if reading.bits not in (bits, None):
        raise DataError(
            f"{where}: expected {reading.bits} bits per channel like most images to train on, got {bits}. Convert it."
        )


def _stretched(pixels: Pixels, reading: ImageReading) -> Pixels:
    """Return 16-bit pixels of which ``black`` and ``white`` have become 0 and 65535; others as they are."""
    if pixels.dtype == np.uint8 or (reading.black, reading.white) == (0, 65535):
        return pixels
    shares = (pixels.astype(np.float32) - reading.black) / (reading.white - reading.black)
    return np.asarray(np.rint(shares.clip(0, 1) * 65535), dtype=np.uint16)


def _check_channels(pixels: Pixels, where: Path | str, channels: int) -> None:
    found = 1 if pixels.ndim == 2 else pixels.shape[2]
    if found != channels:
        raise DataError(f"{where}: expected {channels} channels, got {found}.")


def _in_rgb_order(pixels_HWC: Pixels) -> Pixels:
    """Return three or four channels with red first; others as they are."""
    orders = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    order = orders.get(pixels_HWC.shape[2])
    return pixels_HWC if order is None else np.asarray(cv2.cvtColor(pixels_HWC, order))


def _shrunk_or_grown(pixels: Pixels, height: int, width: int) -> Pixels:
    shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
    return _resized(pixels, height, width, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _resized(pixels: Pixels, height: int, width: int, interpolation: int) -> Pixels:
    if pixels.shape[:2] != (height, width):
        pixels = cv2.resize(pixels, (width, height), interpolation=interpolation)
    return _with_channels(pixels)


def _with_channels(pixels: Pixels) -> Pixels:
    """Return (H, W, C); OpenCV leaves a single channel out."""
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
