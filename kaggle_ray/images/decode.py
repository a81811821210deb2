"""Decodes one image file to pixels of a wanted size, whatever its kind.

Shape legend: H and W pixels, C channels.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from kaggle_ray.errors import DataError
from kaggle_ray.types import ByteArray

Pixels = npt.NDArray[np.uint8]
"""uint8; images of 16-bit files are uint16 and stay it."""

PixelKind = Literal["image", "mask", "labels"]

_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_LARGE_FILE = 100_000
"""Bytes above which a JPEG may be so large that decoding it at a fraction of its size pays for reading its header
first."""
_JPEG = b"\xff\xd8"


def decode_image(path: Path, height: int, width: int, *, kind: PixelKind = "image", channels: int = 3) -> Pixels:
    """Return (height, width, C) pixels; the aspect ratio is not kept, and shrinking averages areas.

    Args:
        path: of a JPEG (CMYK, too), PNG, GIF (its first frame), TIFF, BMP or WebP file; turned as its EXIF data says.
        height: of the result, in pixels.
        width: of the result, in pixels.
        kind: ``image``: red, green and blue, or the file's own ``channels``; ``mask``: the share of each pixel, 0..255,
            that is not black; ``labels``: the class number of the nearest pixel. Masks and labels have one channel.
        channels: of an image; 3 are red, green and blue, 1 is grey.

    Raises:
        DataError: the file is missing, empty, truncated, no image, or has another number of channels.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    if kind == "labels":
        return _resized(_decode_labels(path, content), height, width, cv2.INTER_NEAREST_EXACT)
    if kind == "mask":
        pixels = np.where(_decode(path, content, cv2.IMREAD_GRAYSCALE) > 0, np.uint8(255), np.uint8(0))
    else:
        pixels = _decode(path, content, _flags(content, height, width, channels))
        pixels = _in_rgb_order(pixels, path, channels)
    shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
    return _resized(pixels, height, width, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _flags(content: ByteArray, height: int, width: int, channels: int) -> int:
    if channels == 1:
        return int(cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if channels != 3:
        return int(cv2.IMREAD_UNCHANGED)
    if len(content) > _LARGE_FILE and content[:2].tobytes() == _JPEG:
        full_width, full_height = Image.open(io.BytesIO(content.tobytes())).size
        fitting = min(full_height / height, full_width / width, full_height / width, full_width / height)
        for factor, flags in _REDUCED.items():
            if fitting >= factor:
                return int(flags)
    return int(cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)


def _decode(path: Path, content: ByteArray, flags: int) -> Pixels:
    """Return (H, W) or (H, W, C) in OpenCV's order."""
    pixels = cv2.imdecode(content, flags) if content.size else None
    if pixels is None:
        raise DataError(f"{path}: does not decode as an image ({content.size} bytes).")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: expected 8 or 16 bits per channel, got {pixels.dtype}.")
    return pixels  # type: ignore[no-any-return]


def _decode_labels(path: Path, content: ByteArray) -> Pixels:
    """Return (H, W) the class numbers of a palette or grey image; OpenCV would make colours of a palette's."""
    try:
        labels = np.array(Image.open(io.BytesIO(content.tobytes())))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path}: does not decode as an image ({content.size} bytes).") from error
    if labels.ndim != 2 or labels.max(initial=0) > 255:
        raise DataError(f"{path}: expected a palette or grey image of class numbers 0..255, got shape {labels.shape}.")
    return labels.astype(np.uint8)


def _in_rgb_order(pixels: Pixels, path: Path, channels: int) -> Pixels:
    """Return (H, W, channels)."""
    found = 1 if pixels.ndim == 2 else pixels.shape[2]
    if found != channels:
        raise DataError(f"{path}: expected {channels} channels, got {found}.")
    if channels == 3:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)) if channels == 4 else pixels


def _resized(pixels: Pixels, height: int, width: int, interpolation: int) -> Pixels:
    if pixels.shape[:2] != (height, width):
        pixels = cv2.resize(pixels, (width, height), interpolation=interpolation)
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
