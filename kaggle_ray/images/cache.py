"""Decodes each image once per machine and size: a memory map that all folds, trials, epochs and processes share.

Shape legend: N rows, U unique contents, H and W pixels, C channels.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kaggle_ray.cache.budget import reserve
from kaggle_ray.cache.entries import Description, EntryUse
from kaggle_ray.cache.folder import written_cache
from kaggle_ray.cache.seal import SEAL_FILE, FileStamp, file_stamp, is_intact, seal_of, write_seal
from kaggle_ray.counted import counted
from kaggle_ray.data.reading import ImageReading, MaskReading
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError, NoRoomError
from kaggle_ray.images.decode import PixelKind, Pixels
from kaggle_ray.images.fingerprints import content_digests
from kaggle_ray.images.layout import Layout
from kaggle_ray.images.readers import NamedReader
from kaggle_ray.images.threads import map_in_threads
from kaggle_ray.types import IntArray

logger = logging.getLogger(__name__)

_FORMAT = 4
_PIXELS_FILE = "pixels.npy"
_NUM_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """A set of decoded images, or of images that are decoded whenever they are read."""

    rows_of_pixels: IntArray
    """(N,) the position in ``pixels`` of each row: rows of equal content share one. A file may have several rows."""
    pixels: Pixels | None
    """(U, H, W, C) read-only, usually a memory map; None where there was no room for it."""
    num_built: int = 0
    """Images that had to be decoded to open the set: U, or 0 where the cache had them."""
    paths: tuple[Path, ...] = ()
    """Files of the images where they are decoded on the fly; empty where they are kept decoded, as are the next two."""
    stamps: tuple[FileStamp, ...] = ()
    """Stamps that the files had when the set was opened."""
    digests: tuple[str, ...] = ()
    """sha256 of the files."""
    layout: Layout | None = None
    """How the images are decoded where they are decoded on the fly; None where they are kept decoded."""
    held: EntryUse | None = None
    """Keeps the entry from being evicted."""
    num_read: list[int] = field(default_factory=lambda: [0])
    """One number that grows with each image that is decoded on the fly."""

    @staticmethod
    def of_array(pixels: Pixels) -> Images:
        """Return a set of images that are in memory."""
        return Images(rows_of_pixels=np.arange(len(pixels)), pixels=pixels)

    @property
    def num_decoded(self) -> int:
        """How many images this process has decoded for the set."""
        return self.num_built + self.num_read[0]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, H, W and C."""
        if self.pixels is not None:
            _, height, width, channels = self.pixels.shape
            return len(self.rows_of_pixels), height, width, channels
        assert self.layout is not None, "what is not in memory is decoded"
        channels = self.layout.channels if self.layout.kind == "image" else 1
        return len(self.rows_of_pixels), self.layout.height, self.layout.width, channels

    def read(self, rows: IntArray) -> Pixels:
        """Return (n, H, W, C) the pixels of ``rows`` (n,), in their order: a copy.

        Raises:
            DataError: an image that is decoded on the fly does not decode any more, or is another one by now.
        """
        if self.pixels is not None:
            return self.pixels[self.rows_of_pixels[rows]]
        assert self.layout is not None, "what is not in memory is decoded"
        self.num_read[0] += len(rows)
        slots, num_each = self.rows_of_pixels[rows], self.layout.images_per_file
        if num_each == 1:
            return np.stack(map_in_threads(self._decode, slots.tolist()))
        files, place = np.unique(slots // num_each, return_inverse=True)
        return np.stack(map_in_threads(self._decode, files.tolist()))[place, slots % num_each]

    def _decode(self, file: int) -> Pixels:
        """Return the pixels of a file, which is looked at after it was read: it may be written over."""
        assert self.layout is not None, "what is not in memory is decoded"
        path = self.paths[file]
        pixels = self.layout.decode(path)
        is_same_file = file_stamp(path.stat()) == self.stamps[file]
        if not is_same_file and hashlib.sha256(read_content(path)).hexdigest() != self.digests[file]:
            raise DataError(f"{path}: is another image than when the run opened it. Restore it, or stop the run.")
        return pixels


def open_images(
    paths: Sequence[Path],
    *,
    height: int,
    width: int,
    kind: PixelKind = "image",
    channels: int = 3,
    num_classes: int = 256,
    image_reading: ImageReading | None = None,
    mask_reading: MaskReading | None = None,
    reader: NamedReader | None = None,
    cache_dir: Path,
    budget_bytes: int | None = None,
) -> Images:
    """Return the images of ``paths`` in their order, decoding those that no process of this machine has decoded yet.

    An entry's name is a digest over the contents of its files and its layout. It is built under a lock, by a thread per
    core, in a temporary file that is renamed when it is whole, and sealed: one that is not any more what was decoded is
    decoded anew. Where it has no room even without everything that is unused, the images are decoded on the fly, with a
    warning.

    Args:
        paths: (N,) files.
        height: in pixels.
        width: in pixels.
        kind: see ``decode_image``.
        channels: of an image.
        num_classes: of labels.
        image_reading: see ``decode_image``, as for the next; None is its default.
        mask_reading: of masks.
        reader: of images that are no photographs.
        cache_dir: where entries are.
        budget_bytes: that all entries together may take; see ``cache.budget.budget_of``.

    Raises:
        DataError: files are missing or do not decode; the first few are named.
        StoreError: the cache folder cannot be written.
    """
    layout = Layout(
        height=height, width=width, kind=kind, channels=channels, num_classes=num_classes,
        image_reading=image_reading, mask_reading=mask_reading, reader=reader,
    )  # fmt: skip
    with written_cache(cache_dir):
        digests = content_digests(paths, cache_dir)
        unique = sorted(set(digests))
        position = {digest: slot for slot, digest in enumerate(unique)}
        rows_of_pixels = _rows_of_images([position[digest] for digest in digests], layout.images_per_file)
        of_digest = dict(zip(reversed(digests), reversed(paths), strict=True))
        return _open(
            tuple(of_digest[digest] for digest in unique), rows_of_pixels, layout, unique, cache_dir, budget_bytes
        )


def _rows_of_images(files: Sequence[int], images_per_file: int) -> IntArray:
    """Return (N,) the positions of the images of ``files``, those of a file one after the other."""
    first = np.array(files, dtype=np.int64) * images_per_file
    return np.asarray((first[:, np.newaxis] + np.arange(images_per_file)).ravel())


def _open(
    paths: tuple[Path, ...],
    rows_of_pixels: IntArray,
    layout: Layout,
    digests: Sequence[str],
    cache_dir: Path,
    budget_bytes: int | None,
) -> Images:
    described = f"{_FORMAT} {layout.described} {' '.join(digests)}"
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    held = EntryUse(cache_dir, "images", key)
    entry = held.folder / _PIXELS_FILE
    num_built = 0
    with held.filling():
        if not is_intact(entry):
            first = _decode_first(paths, layout)
            try:
                reserve(held, _describe(paths, layout, first.nbytes * len(paths)), budget_bytes=budget_bytes)
            except NoRoomError as error:
                logger.warning(
                    "%s Until then %s decoded anew each time.", error, counted(len(paths), "image is", "images are")
                )
                stamps = tuple(file_stamp(path.stat()) for path in paths)
                _check_unchanged(paths, digests, cache_dir)
                return Images(
                    rows_of_pixels=rows_of_pixels, pixels=None, paths=paths, stamps=stamps, digests=tuple(digests),
                    layout=layout,
                )  # fmt: skip
            try:
                _build(paths, layout, first, entry)
                _check_unchanged(paths, digests, cache_dir)
                write_seal(entry.with_name(SEAL_FILE), seal_of(entry))
            except BaseException:
                held.discard()
                raise
            num_built = len(paths)
        held.touch()
    pixels = np.load(entry, mmap_mode="r", allow_pickle=False)
    pixels = pixels.reshape(-1, *pixels.shape[-3:])
    return Images(rows_of_pixels=rows_of_pixels, pixels=pixels, num_built=num_built, held=held)


def _describe(paths: Sequence[Path], layout: Layout, num_bytes: int) -> Description:
    return Description(
        source=str(paths[0].parent),
        content=layout.kind,
        num_files=len(paths),
        num_bytes=num_bytes,
        last_file=SEAL_FILE,
        sides=(layout.height, layout.width),
    )


def _build(paths: Sequence[Path], layout: Layout, first: Pixels, entry: Path) -> None:
    """Decode ``paths`` into ``entry``, over what a build that was killed has left behind."""
    building = entry.with_name(f"building-{entry.name}")
    shape = (len(paths), *first.shape)
    pixels = np.lib.format.open_memmap(building, mode="w+", dtype=first.dtype, shape=shape)
    _claim_blocks(building)
    _decode_all(paths, layout, into=pixels)
    pixels.flush()
    building.rename(entry)


def _check_unchanged(paths: Sequence[Path], digests: Sequence[str], cache_dir: Path) -> None:
    """Raise DataError where a file was written over since its digest was taken: its pixels are nobody knows which."""
    now = content_digests(paths, cache_dir)
    changed = [str(path) for path, before, after in zip(paths, digests, now, strict=True) if before != after]
    if changed:
        names = ", ".join(changed[:_NUM_NAMED])
        raise DataError(
            f"{len(changed)} of {counted(len(paths), 'image')} changed while they were opened: {names}. Run the same "
            f"command again when they stay as they are."
        )


def _claim_blocks(file: Path) -> None:
    """Claim the whole file's blocks: on a full disk that is an error, but writing to a map kills the process."""
    with file.open("r+b") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise


def _decode_all(paths: Sequence[Path], layout: Layout, into: Pixels) -> None:
    """Write the pixels of ``paths`` to ``into`` (n, H, W, C); all bad files are counted in one DataError."""

    def fill(row: int) -> str | None:
        try:
            pixels = layout.decode(paths[row])
        except DataError as error:
            return str(error)
        if pixels.dtype != into.dtype:
            return f"{paths[row]}: expected {into.dtype} pixels like those of the other images, got {pixels.dtype}."
        into[row] = pixels
        return None  # rather than keep all pixels in memory until the last one is there

    errors = [error for error in map_in_threads(fill, range(len(paths)), stage="decoding images") if error is not None]
    if errors:
        raise _undecodable(errors, len(paths))


def _decode_first(paths: Sequence[Path], layout: Layout) -> Pixels:
    """Return (H, W, C) the pixels of one file, by which it is known what the others take."""
    try:
        return layout.decode(paths[0])
    except DataError as error:
        raise _undecodable([str(error)], 1) from error


def _undecodable(errors: Sequence[str], num_images: int) -> DataError:
    return DataError(
        f"{len(errors)} of {counted(num_images, 'image')} cannot be decoded: {' '.join(errors[:_NUM_NAMED])} "
        f"Replace them, or leave them out with --skip-unreadable."
    )
