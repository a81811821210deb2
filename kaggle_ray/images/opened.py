"""A competition's images and masks, opened from the decode-once cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaggle_ray.data.competition import Competition, ImagePaths, Samples
from kaggle_ray.images.cache import Images, open_images
from kaggle_ray.images.decode import PixelKind
from kaggle_ray.types import Target

_HALF = 128
"""Of 255: a pixel of a binary mask is foreground where at least half of its area is."""


def flat_paths(paths: Sequence[ImagePaths]) -> tuple[Path, ...]:
    """Return all files, the views of a sample one after the other."""
    return tuple(path for views in paths for path in ((views,) if isinstance(views, Path) else views))


def open_train(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Images:
    """Return the training images decoded to ``sides``, height and width in pixels."""
    return _open(flat_paths(samples.train_paths), sides, competition, cache_dir)


def open_test(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Images:
    """Return the test images decoded to ``sides``, height and width in pixels."""
    return _open(flat_paths(samples.test_paths), sides, competition, cache_dir)


def open_masks(competition: Competition, samples: Samples, sides: tuple[int, int], cache_dir: Path) -> Images | None:
    """Return the training masks decoded to ``sides``, None where the competition has none."""
    if samples.train_masks is None:
        return None
    kind: PixelKind = "mask" if len(competition.heads[0].classes) == 1 else "labels"
    height, width = sides
    return open_images(samples.train_masks, height=height, width=width, kind=kind, cache_dir=cache_dir)


def open_target(competition: Competition, samples: Samples, cache_dir: Path) -> tuple[Target, int]:
    """Return what predictions are scored against, and how many masks had to be decoded for it now.

    It is (N, T) as ``Samples`` has it, or for segmentation (N, h * w) uint8 the class numbers of the pixels.
    """
    if competition.mask is None:
        return samples.target, 0
    masks = open_masks(competition, samples, (competition.mask.height, competition.mask.width), cache_dir)
    assert masks is not None
    pixels = masks.read(np.arange(len(samples.train_ids))).reshape(len(samples.train_ids), -1)
    target = (pixels >= _HALF).astype(np.uint8) if len(competition.heads[0].classes) == 1 else pixels
    return target, masks.num_decoded


def _open(paths: tuple[Path, ...], sides: tuple[int, int], competition: Competition, cache_dir: Path) -> Images:
    height, width = sides
    return open_images(paths, height=height, width=width, channels=competition.channels, cache_dir=cache_dir)
