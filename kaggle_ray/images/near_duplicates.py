"""Finds near-duplicates: images that are each other's resize, re-encoding or slight crop.

Perceptual hashes propose pairs; each is then laid over the other and compared pixel by pixel, so that photographs that
merely look alike, such as those of a burst or of one studio, are told apart.

Shape legend: N samples to train on, T to predict, I images, P pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kaggle_ray.cpus import num_cpus
from kaggle_ray.data.samples import Samples, views_of
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError
from kaggle_ray.images.alignment import compare, detail
from kaggle_ray.images.cache import Images, open_images
from kaggle_ray.images.file_pixels import stated_sides
from kaggle_ray.images.perceptual_hash import PARTS, WHOLE, Hashes, low_frequencies, near_hashes, perceptual_hashes
from kaggle_ray.images.readers import NamedReader
from kaggle_ray.images.unreadable import unreadable_files
from kaggle_ray.progress import Counter
from kaggle_ray.types import BoolArray, FloatArray, IntArray

THUMB = 64
"""Sides in pixels of the grey images that are compared."""
_SMALLEST_SIDE = 24
"""Pixels of an image's smaller side below which it shows too little to tell a near-duplicate from a lookalike."""
_SMALL_FILE = 16_384
"""Bytes above which a file's image is taken for one of THUMB pixels a side, so that its header need not be read."""
_LEAST_DETAIL = 3.0
"""Standard deviation in grey levels of 255 below which an image has no texture to compare."""
_NUM_NEAREST = 8
"""Pairs that an image's hash may propose with each part of the others."""
_LEAST_LIKENESS = 0.6
"""Cosine of the low frequencies below which a pair is not worth being aligned."""
_LEAST_CORRELATION, _MOST_EXCESS = 0.9, 2.0
_LEAST_TILE_CORRELATION, _MOST_TILE_EXCESS = 0.6, 2.8
"""Bounds of the ``Agreement`` of near-duplicates; tests/benchmarks/near_duplicates.py measures what they find."""
_BLOCK_IMAGES, _BLOCK_PAIRS = 1024, 128


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicatePairs:
    """Samples that share a near-duplicate image."""

    pairs: IntArray
    """(P, 2) positions among the N samples to train on and, from N on, the T to predict; the smaller first, unique."""
    compared: IntArray
    """Positions of the samples of which an image is large enough, and has texture; ascending."""
    num_decoded: int = 0
    """Images that had to be decoded for it now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Described:
    """What is known of each of I images."""

    is_textured: BoolArray
    """(I,) whether an image has texture enough to be compared."""
    of_whole: Hashes
    """(I, 2) hashes of the whole images."""
    of_parts: tuple[Hashes, ...]
    """(I, 2) hashes of each part of the images."""
    first_equal: IntArray
    """(I,) the first image of the same pixels."""


def find_near_duplicates(
    samples: Samples, *, channels: int, reader: NamedReader | None = None, cache_dir: Path
) -> DuplicatePairs:
    """Return the pairs of samples with near-duplicate images: among those to train on, and between them and test.

    Samples of several images are near-duplicates where any image of one is a near-duplicate of any image of the other.
    Files that do not decode are passed over.

    Args:
        samples: the rows.
        channels: of an image.
        reader: of images that are no photographs.
        cache_dir: of the decode-once cache.

    Raises:
        DataError: images differ in their bits per channel.
    """
    thumbnails = _open_thumbnails(samples, channels, reader, cache_dir)
    described = _describe(thumbnails)
    found = _confirmed(thumbnails, _candidates(thumbnails, described))
    copies = np.flatnonzero(described.is_textured & (described.first_equal != np.arange(thumbnails.num_images)))
    pairs = np.concatenate([found, np.stack([described.first_equal[copies], copies], axis=1)])
    of_samples = np.sort(thumbnails.sample_of[pairs], axis=1)
    of_samples = np.unique(of_samples[of_samples[:, 0] != of_samples[:, 1]], axis=0)
    return DuplicatePairs(
        pairs=of_samples,
        compared=np.unique(thumbnails.sample_of[described.is_textured]),
        num_decoded=sum(images.num_decoded for images in thumbnails.sets),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Thumbnails:
    """The small images of train, then of test: those that are large enough to be compared."""

    sets: tuple[Images, ...]
    ranges: tuple[tuple[float, float], ...]
    """What of a set's pixels becomes 0 and 255."""
    sample_of: IntArray
    """(I,) the sample of each image; those to predict are counted from N on."""
    sides: IntArray
    """(I,) pixels of the smaller side of each image before it was made small, up to THUMB."""
    num_train: int
    """Images of the samples to train on; they come first."""

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.sample_of)

    def read(self, rows: IntArray) -> FloatArray:
        """Return (n, THUMB, THUMB) grey levels of 0..255."""
        grey = np.empty((len(rows), THUMB, THUMB), dtype=np.float32)
        start = 0
        for images, (black, white) in zip(self.sets, self.ranges, strict=True):
            here = (rows >= start) & (rows < start + len(images.rows_of_pixels))
            if here.any():
                levels = images.read(rows[here] - start).mean(axis=3, dtype=np.float32)
                grey[here] = (levels - np.float32(black)) * np.float32(255 / (white - black))
            start += len(images.rows_of_pixels)
        return grey


def _open_thumbnails(samples: Samples, channels: int, reader: NamedReader | None, cache_dir: Path) -> _Thumbnails:
    # Grey is enough to compare, and a third of the room; what is neither grey nor RGB is averaged when it is read.
    channels = 1 if channels in (1, 3) and reader is None else channels
    num_each = 1 if reader is None else reader.num_images
    sets: list[Images] = []
    positions: list[IntArray] = []
    sides: list[IntArray] = []
    for paths, first_sample in ((samples.train_paths, 0), (samples.test_paths, len(samples.train_paths))):
        files = [(path, first_sample + row) for row, views in enumerate(paths) for path in views_of(views)]
        side_of = {path: THUMB if reader else _side(path) for path, _ in files}
        files = [(path, sample) for path, sample in files if side_of[path] >= _SMALLEST_SIDE]
        if files:
            opened, unreadable = _open([path for path, _ in files], channels, reader, cache_dir)
            files = [(path, sample) for path, sample in files if path not in unreadable]
            sets += [opened] if opened else []
        positions.append(np.repeat(np.array([sample for _, sample in files], dtype=np.int64), num_each))
        sides.append(np.repeat(np.array([side_of[path] for path, _ in files], dtype=np.int64), num_each))
    return _Thumbnails(
        sets=tuple(sets),
        ranges=tuple(_range(images) for images in sets),
        sample_of=np.concatenate(positions),
        sides=np.concatenate(sides),
        num_train=len(positions[0]),
    )


def _open(
    paths: list[Path], channels: int, reader: NamedReader | None, cache_dir: Path
) -> tuple[Images | None, Collection[Path]]:
    """Return the thumbnails, and the files that do not decode: to name them is for who cannot do without them."""
    opened = partial(open_images, height=THUMB, width=THUMB, channels=channels, reader=reader, cache_dir=cache_dir)
    try:
        return opened(paths), ()
    except DataError:
        unreadable = unreadable_files(paths, channels=channels, reader=reader)
        if not unreadable:
            raise
    readable = [path for path in paths if path not in unreadable]
    return opened(readable) if readable else None, unreadable


def _side(path: Path) -> int:
    """Return the smaller side of an image, up to THUMB; a file that tells none is left to who decodes it."""
    try:
        if path.stat().st_size > _SMALL_FILE:
            return THUMB
        return min(*stated_sides(path, read_content(path)), THUMB) or THUMB
    except (OSError, DataError):
        return THUMB


def _range(images: Images) -> tuple[float, float]:
    """Return what of the pixels becomes 0 and 255: of 16 bits up to their largest, for many use 12 bits or fewer.

    Of other numbers it is the lowest and the highest of all.
    """
    dtype = images.read(np.zeros(1, dtype=np.int64)).dtype
    if dtype == np.uint8:
        return 0, 255
    blocks = [images.read(rows) for rows in _blocks(len(images.rows_of_pixels), _BLOCK_IMAGES)]
    highest = max(float(block.max()) for block in blocks)
    if dtype == np.uint16:
        return 0, max(1, highest)
    lowest = min(float(block.min()) for block in blocks)
    return lowest, highest if highest > lowest else lowest + 1


def _blocks(number: int, size: int) -> list[IntArray]:
    return [np.arange(start, min(start + size, number)) for start in range(0, number, size)]


def _describe(thumbnails: _Thumbnails) -> _Described:
    """Return hashes and texture of all images, read block by block."""
    num = thumbnails.num_images
    is_textured = np.zeros(num, dtype=np.bool_)
    of_whole, *of_parts = (np.zeros((num, 2), dtype=np.uint64) for _ in (WHOLE, *PARTS))
    first_of: dict[bytes, int] = {}
    first_equal = np.arange(num)
    counter = Counter("comparing images", num)
    for rows in _blocks(num, _BLOCK_IMAGES):
        grey = thumbnails.read(rows)
        is_textured[rows] = detail(grey).std(axis=(1, 2)) >= _LEAST_DETAIL
        for part, hashes in zip((WHOLE, *PARTS), (of_whole, *of_parts), strict=True):
            hashes[rows] = perceptual_hashes(low_frequencies(grey, part))
        for row, image in zip(rows.tolist(), grey, strict=True):
            first_equal[row] = first_of.setdefault(hashlib.blake2b(image.tobytes(), digest_size=16).digest(), row)
        counter.add(len(rows))
    return _Described(is_textured=is_textured, of_whole=of_whole, of_parts=tuple(of_parts), first_equal=first_equal)


def _candidates(thumbnails: _Thumbnails, described: _Described) -> IntArray:
    """Return (P, 2) images of which the second's hash is near to that of a part of the first.

    Copies of an image are left to their first one, and test images are not compared with each other.
    """
    firsts = np.flatnonzero(described.is_textured & (described.first_equal == np.arange(thumbnails.num_images)))
    train, test = firsts[firsts < thumbnails.num_train], firsts[firsts >= thumbnails.num_train]
    proposed = [np.zeros((0, 2), dtype=np.int64)]
    for hashes in described.of_parts:
        for queries, others in ((train, firsts), (test, train)):
            near = near_hashes(described.of_whole[queries], hashes[others], at_most=1 + _NUM_NEAREST)
            proposed.append(np.stack([others[near[1]], queries[near[0]]], axis=1))
    pairs = np.unique(np.concatenate(proposed), axis=0)
    samples = thumbnails.sample_of[pairs]
    return np.asarray(pairs[samples[:, 0] != samples[:, 1]])


def _confirmed(thumbnails: _Thumbnails, pairs: IntArray) -> IntArray:
    """Return those of ``pairs`` (P, 2) whose pixels agree."""

    def agree(rows: IntArray) -> IntArray:
        moved, fixed = thumbnails.read(pairs[rows, 0]), thumbnails.read(pairs[rows, 1])
        of_whole = low_frequencies(fixed)
        likeness = np.max([(of_whole * low_frequencies(moved, part)).sum(axis=1) for part in PARTS], axis=0)
        alike = likeness >= _LEAST_LIKENESS
        found = compare(moved[alike], fixed[alike], thumbnails.sides[pairs[rows[alike]]].min(axis=1))
        is_duplicate = (found.correlation >= _LEAST_CORRELATION) & (found.excess <= _MOST_EXCESS)
        is_duplicate &= (found.tile_correlation >= _LEAST_TILE_CORRELATION) & (found.tile_excess <= _MOST_TILE_EXCESS)
        return np.asarray(rows[alike][is_duplicate])

    with ThreadPoolExecutor(num_cpus()) as pool:
        kept = list(pool.map(agree, _blocks(len(pairs), _BLOCK_PAIRS)))
    return np.asarray(pairs[np.concatenate([np.zeros(0, dtype=np.int64), *kept])])
