"""Decodes one image file to a square of uint8 pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from kaggle_ray.errors import DataError

Pixels = npt.NDArray[np.uint8]


def decode_image(path: Path, size: int) -> Pixels:
    """Return (size, size, 3) uint8 RGB pixels; the aspect ratio is not kept.

    Shrinks by averaging areas, because plain interpolation aliases.

    Raises:
        DataError: the file is missing, empty or no image.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if image is None:
        raise DataError(f"{path}: does not decode as an image ({content.size} bytes).")
    if image.shape[:2] != (size, size):
        shrinks = min(image.shape[:2]) >= size
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(image[:, :, ::-1])
