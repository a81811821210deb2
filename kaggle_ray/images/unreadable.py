"""Finds image files that do not decode, and the picture that stands in for one."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.reading import ImageReading, MaskReading
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import DataError
from kaggle_ray.images.decode import PixelKind
from kaggle_ray.images.layout import Layout
from kaggle_ray.images.readers import NamedReader
from kaggle_ray.images.threads import map_in_threads

_SIZE = 16


def unreadable_files(
    paths: Sequence[Path],
    *,
    kind: PixelKind = "image",
    channels: int = 3,
    num_classes: int = 256,
    image_reading: ImageReading | None = None,
    mask_reading: MaskReading | None = None,
    reader: NamedReader | None = None,
) -> dict[Path, str]:
    """Return the files that do not decode, with the reasons; all are decoded once, by a thread per core."""
    layout = Layout(
        height=_SIZE, width=_SIZE, kind=kind, channels=channels, num_classes=num_classes,
        image_reading=image_reading, mask_reading=mask_reading, reader=reader,
    )  # fmt: skip

    def reason(path: Path) -> str | None:
        try:
            layout.decode(path)
        except DataError as error:
            return str(error)
        return None

    reasons = map_in_threads(reason, paths, stage="checking images")
    return {path: found for path, found in zip(paths, reasons, strict=True) if found}


def without_unreadable(
    competition: Competition, samples: Samples, unreadable: Collection[Path], cache_dir: Path
) -> Samples:
    """Return the samples without the training rows that need one of the ``unreadable`` files.

    A test row cannot be left out, since the submission needs it: an even grey image stands in for its file.

    Args:
        competition: whose reading is known.
        samples: its rows.
        unreadable: files that do not decode.
        cache_dir: where the grey image is kept.

    Raises:
        DataError: no training row is left, or a test file is unreadable that is no photograph.
    """
    if not unreadable:
        return samples
    if competition.reader is not None:
        of_test = sorted(set(samples.test_files) & set(unreadable))
        if of_test:
            raise DataError(
                f"{counted(len(of_test), 'test file')} cannot be read, such as {of_test[0]}, and nothing stands in "
                "for what is no photograph. Restore them, or let the competition's reader return what they are "
                "predicted from."
            )
        return samples.without_files(unreadable, placeholder=Path())
    reading = competition.reading.images if competition.reading else None
    return samples.without_files(unreadable, placeholder=_placeholder_image(cache_dir, competition.channels, reading))


def _placeholder_image(cache_dir: Path, channels: int, reading: ImageReading | None) -> Path:
    """Return an even grey image that stands in for a test image that does not decode; written where it is not there."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    dtype: type[np.uint8 | np.uint16] = np.uint8
    value = 128
    if reading is not None and reading.bits == 16:
        dtype, value = np.uint16, (reading.black + reading.white + 1) // 2
    path = cache_dir / f"placeholder-{channels}-{value}-{np.dtype(dtype)}.{'png' if channels <= 4 else 'tif'}"
    grey = np.full((_SIZE, _SIZE, channels), value, dtype=dtype)
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.exists() else None
    if found is None or found.size != grey.size or found.dtype != dtype or (found != value).any():
        partial = path.with_suffix(f".{os.getpid()}{path.suffix}")
        cv2.imwrite(str(partial), grey)
        partial.replace(path)
    return path
