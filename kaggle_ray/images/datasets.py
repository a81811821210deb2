"""A competition's images and masks, opened from the decode-once cache."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.images.cache import Images, open_images
from kaggle_ray.images.decode import PixelKind
from kaggle_ray.images.readers import reader_of
from kaggle_ray.images.reading import reading_of
from kaggle_ray.images.unreadable import unreadable_files
from kaggle_ray.rows import LazyRows, Rows, read_rows
from kaggle_ray.types import ByteArray, IntArray

_HALF = 128
"""Value of 255 from which a pixel of a binary mask is foreground: at least half of its area is."""


def open_train(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Images:
    """Return the training images decoded to ``sides``, height and width in pixels."""
    return _open(samples.train_files, sides, competition, samples, cache_dir)


def open_test(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Images:
    """Return the test images decoded to ``sides``, height and width in pixels."""
    return _open(samples.test_files, sides, competition, samples, cache_dir)


def open_masks(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Images | None:
    """Return the training masks decoded to ``sides``, None where the competition has none."""
    if samples.train_masks is None:
        return None
    height, width = sides
    return open_images(
        samples.train_masks,
        height=height,
        width=width,
        kind=mask_kind(competition),
        num_classes=max(2, len(competition.mask_head.classes)),
        mask_reading=reading_of(competition, samples, cache_dir).masks,
        cache_dir=cache_dir,
    )


def mask_kind(competition: Competition) -> PixelKind:
    """Return how a competition's masks are decoded."""
    return "mask" if len(competition.mask_head.classes) == 1 else "labels"


def unreadable_of(competition: Competition, samples: Samples, cache_dir: Path) -> dict[Path, str]:
    """Return the images and masks of the rows that do not decode, with the reasons."""
    reading = reading_of(competition, samples, cache_dir)
    images = (*samples.train_files, *samples.test_files)
    found = unreadable_files(
        images, channels=competition.channels, image_reading=reading.images, reader=reader_of(competition)
    )
    if samples.train_masks is None:
        return found
    return found | unreadable_files(
        samples.train_masks,
        kind=mask_kind(competition),
        num_classes=max(2, len(competition.mask_head.classes)),
        mask_reading=reading.masks,
    )


def open_target(competition: Competition, samples: Samples, cache_dir: Path) -> tuple[Rows, int]:
    """Return what predictions are scored against, and how many masks had to be decoded for it now.

    It is (N, T) as ``Samples`` has it, or for segmentation (N, h * w) uint8 the class numbers of the pixels, read from
    the cache whenever they are asked for.
    """
    if competition.mask is None:
        return samples.target, 0
    masks = open_masks(competition, samples, (competition.mask.height, competition.mask.width), cache_dir)
    assert masks is not None
    read = partial(_classes_of, masks, are_binary=len(competition.mask_head.classes) == 1)
    if masks.pixels is None:  # decoded once, rather than whenever a score asks for them
        return read(np.arange(len(masks.rows_of_pixels))), masks.num_decoded
    shape = (len(masks.rows_of_pixels), competition.mask.height * competition.mask.width)
    return LazyRows(shape, read), masks.num_decoded


def _classes_of(masks: Images, rows: IntArray, *, are_binary: bool) -> ByteArray:
    """Return (n, h * w) the class numbers of the pixels of some masks."""
    pixels = masks.read(rows) if masks.pixels is None else read_rows(masks.pixels, masks.rows_of_pixels[rows])
    flat: ByteArray = pixels.reshape(len(rows), -1)
    return (flat >= _HALF).astype(np.uint8) if are_binary else flat


def _open(
    paths: tuple[Path, ...], sides: tuple[int, int], competition: Competition, samples: Samples, cache_dir: Path
) -> Images:
    height, width = sides
    return open_images(
        paths,
        height=height,
        width=width,
        channels=competition.channels,
        image_reading=reading_of(competition, samples, cache_dir).images,
        reader=reader_of(competition),
        cache_dir=cache_dir,
    )
