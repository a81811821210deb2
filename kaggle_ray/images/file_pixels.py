"""OpenCV and Pillow on the content of a file: the memory it takes is bounded, and what they raise is a DataError."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import unpack_from
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from kaggle_ray.counted import counted
from kaggle_ray.errors import DataError, KaggleRayError
from kaggle_ray.images.jpeg import read_header

MAX_PIXELS = 178_956_970
"""Pixels of an image that is decoded in full: half a GB of colours. It is Pillow's bound, so that all have the same."""

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II", b"MM")
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


def decoded(path: Path, content: bytes, flags: int, *, shrunk_by: int = 1) -> npt.NDArray[Any]:
    """Return (H, W) or (H, W, C) what OpenCV makes of a file, in its order of channels.

    Args:
        path: named by errors.
        content: of the file.
        flags: of ``cv2.imdecode``.
        shrunk_by: factor by which ``flags`` let the decoder shrink both sides.

    Raises:
        DataError: it does not decode, or has more than ``MAX_PIXELS``.
    """
    check_size(path, content, shrunk_by=shrunk_by)
    with decoding(path, content):
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags) if content else None
    if pixels is None:
        raise _undecodable(path, content)
    return np.asarray(pixels)


@contextmanager
def decoding(path: Path, content: bytes) -> Iterator[None]:
    """Raise DataError for whatever a decoder raises within the context: a damaged file meets any line of it."""
    try:
        yield
    except KaggleRayError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: has too many pixels: {error}. {_NEXT_STEP}") from error
    except Exception as error:
        raise _undecodable(path, content) from error


def check_size(path: Path, content: bytes, *, shrunk_by: int = 1) -> None:
    """Raise DataError for a file whose header states more than ``MAX_PIXELS``, before any memory is taken for them."""
    height, width = stated_sides(path, content)
    if height * width > MAX_PIXELS * shrunk_by**2:
        raise DataError(
            f"{path}: has {width} x {height} pixels, and at most {MAX_PIXELS:,} are decoded at once. {_NEXT_STEP}"
        )


_NEXT_STEP = "Shrink it, or cut it into tiles."


def stated_sides(path: Path, content: bytes) -> tuple[int, int]:
    """Return the height and width that a file's header states, 0 where none can be made out."""
    if (jpeg := read_header(content)) is not None:
        return jpeg.height, jpeg.width
    if content.startswith(_PNG) and len(content) >= 24:
        width, height = unpack_from(">II", content, 16)
        return height, width
    try:
        with decoding(path, content), Image.open(io.BytesIO(content)) as image:
            return image.height, image.width
    except DataError as error:
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        return _tiff_sides(content)


def _tiff_sides(content: bytes) -> tuple[int, int]:
    """Return the sides of a TIFF file of more bands than Pillow knows, 0 of what is none.

    Source: TIFF, revision 6.0, section 8.
    """
    if not content.startswith(_TIFF):
        return 0, 0
    try:
        file = io.BytesIO(content)
        directory = ImageFileDirectory_v2(file.read(8))
        file.seek(directory.next)
        directory.load(file)
        return int(directory[_TIFF_HEIGHT]), int(directory[_TIFF_WIDTH])
    except Exception:  # of a damaged file: OpenCV says so
        return 0, 0


def _undecodable(path: Path, content: bytes) -> DataError:
    return DataError(f"{path}: does not decode as an image ({counted(len(content), 'byte')}).")
