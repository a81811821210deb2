"""Whatever is in a file that is named as an image: it decodes, or is told in time and within bounds of memory."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.errors import DataError
from kaggle_ray.images.decode import PixelKind, decode_image
from kaggle_ray.images.facts import image_facts
from kaggle_ray.images.file_pixels import stated_sides
from kaggle_ray.images.fingerprints import content_digests, readable_digests
from kaggle_ray.images.unreadable import unreadable_files


def png_of(width: int, height: int) -> bytes:
    """A PNG file that states its sides, and has few of its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"IHDR" + header, b"IDAT" + zlib.compress(b"\0" * 1000), b"IEND"]
    chunks = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff_of(width: int, height: int, bands: int) -> bytes:
    """A TIFF file that states its sides, and has no pixels."""
    tags = [(256, width), (257, height), (277, bands)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)


@pytest.mark.parametrize("kind", ["image", "mask", "labels"])
@pytest.mark.parametrize("sides", [(60000, 40000), (30000, 30000)])
def test_an_image_that_would_take_gigabytes_is_named_with_its_sides(
    tmp_path: Path, kind: PixelKind, sides: tuple[int, int]
) -> None:
    path = tmp_path / "slide.png"
    path.write_bytes(png_of(*sides))
    with pytest.raises(DataError, match=rf"slide\.png: has {sides[0]} x {sides[1]} pixels, .* cut it into tiles\.$"):
        decode_image(path, 8, 8, kind=kind)


@pytest.mark.parametrize("content", [png_of(7, 5), tiff_of(7, 5, bands=3), tiff_of(7, 5, bands=9)])
def test_sides_are_told_without_decoding(content: bytes) -> None:
    assert stated_sides(Path("image"), content) == (5, 7)


def test_a_large_photograph_that_is_decoded_at_a_fraction_of_its_size_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), np.full((128, 128, 3), 200, dtype=np.uint8))
    monkeypatch.setattr("kaggle_ray.images.file_pixels.MAX_PIXELS", 64 * 64)
    assert decode_image(path, 16, 16).shape == (16, 16, 3)
    with pytest.raises(DataError, match="has 128 x 128 pixels"):
        decode_image(path, 100, 100)


def test_what_is_no_file_is_left_out_and_never_waited_for(tmp_path: Path) -> None:
    good, fifo, folder, gone = (tmp_path / f"{name}.png" for name in ("good", "fifo", "folder", "gone"))
    cv2.imwrite(str(good), np.zeros((8, 8, 3), dtype=np.uint8))
    os.mkfifo(fifo)
    folder.mkdir()
    paths = [good, fifo, folder, gone]
    assert unreadable_files(paths).keys() == {fifo, folder, gone}
    assert image_facts(paths, channels=3, cache_dir=tmp_path).keys() == {good}
    digests, reasons = readable_digests(paths, tmp_path)
    assert (set(digests), set(reasons)) == ({good}, {fifo, folder, gone})
    with pytest.raises(DataError, match=r"^3 images .*fifo\.png: is no regular file.*--skip-unreadable"):
        content_digests(paths, tmp_path)
