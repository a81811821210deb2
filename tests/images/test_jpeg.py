"""A header that is read by hand agrees with the decoders, and a damaged one with nobody."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kaggle_ray.images.jpeg import JpegHeader, read_header


def jpeg(height: int, width: int, mode: str = "RGB", **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_header_tells_the_sides(mode: str, progressive: bool) -> None:
    assert read_header(jpeg(37, 61, mode, progressive=progressive)) == JpegHeader(37, 61, False)


def test_a_comment_a_thumbnail_and_filling_are_skipped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = jpeg(37, 61, exif=exif, comment=b"\xff\xc0 looks like a frame")
    assert read_header(content) == JpegHeader(37, 61, True)
    filled = content[:2] + b"\xff\xff" + content[2:]
    assert read_header(filled) == JpegHeader(37, 61, True)


def test_what_is_no_jpeg_has_no_header() -> None:
    for content in (
        b"",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"\xff\xd8" + bytes(50),
        b"\xff\xd8\xff\xd9" * 9,
    ):
        assert read_header(content) is None


def test_a_header_that_was_cut_off_is_none() -> None:
    content = jpeg(37, 61)
    start = content.index(b"\xff\xc0")
    assert all(read_header(content[:length]) is None for length in range(start + 9))
    assert read_header(content[: start + 9]) == JpegHeader(37, 61, False)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_header_or_none(content: bytes) -> None:
    header = read_header(b"\xff\xd8\xff" + content)
    assert header is None or (header.height > 0 and header.width > 0)


@pytest.mark.parametrize(
    ("sides", "factor"), [((119, 400), 1), ((120, 400), 2), ((239, 400), 2), ((240, 400), 4), ((480, 480), 8)]
)
def test_what_is_decoded_keeps_half_as_much_again_as_is_wanted(sides: tuple[int, int], factor: int) -> None:
    assert JpegHeader(*sides, False).reduction(40, 40) == factor


def test_the_sides_are_held_to_their_own_unless_the_image_may_be_turned() -> None:
    assert JpegHeader(240, 1280, False).reduction(40, 200) == 4
    assert JpegHeader(240, 1280, True).reduction(40, 200) == 1


def test_an_image_that_may_be_turned_is_shrunk_by_what_divides_its_sides() -> None:
    assert JpegHeader(1000, 1004, False).reduction(40, 40) == 8
    assert JpegHeader(1000, 1004, True).reduction(40, 40) == 4
    assert JpegHeader(1000, 1001, True).reduction(40, 40) == 1
