from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kaggle_ray.data.reading import MaskReading
from kaggle_ray.errors import DataError
from kaggle_ray.images.decode import decode_image
from kaggle_ray.images.facts import mask_facts
from kaggle_ray.images.fingerprints import known_content
from kaggle_ray.images.mask_reading import decide_masks
from kaggle_ray.types import BoolArray, ByteArray

SIDE = 32
VIRIDIS = [68, 1, 84, 253, 231, 37]


def disc(number: int) -> BoolArray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.asarray((rows - 16) ** 2 + (columns - 12 - number) ** 2 < 36)


def save(path: Path, pixels: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def pillow(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    Image.fromarray(pixels, mode).save(path)
    return path


def palette(path: Path, numbers: ByteArray, colors: list[int]) -> Path:
    image = Image.fromarray(numbers, "P")
    image.putpalette(colors)
    image.save(path)
    return path


def cut_out(mask: BoolArray, value: int) -> ByteArray:
    pixels = np.full((SIDE, SIDE, 4), value, dtype=np.uint8)
    pixels[..., 3] = np.where(mask, 255, 0)
    return pixels


def photograph(mask: BoolArray) -> ByteArray:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    pixels[..., 3] = np.where(mask, 255, 0)
    return pixels


def blurred(mask: BoolArray) -> ByteArray:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), 0.7), dtype=np.uint8)


def read(paths: list[Path], cache: Path) -> tuple[list[BoolArray], MaskReading, list[str]]:
    reading, remarks = decide_masks(mask_facts(paths, cache_dir=cache))
    masks = [decode_image(path, SIDE, SIDE, kind="mask", mask_reading=reading)[..., 0] > 127 for path in paths]
    return masks, reading, remarks


WRITERS: dict[str, Callable[[Path, BoolArray], Path]] = {
    "8 bits of 0 and 1": lambda path, mask: save(path.with_suffix(".png"), mask.astype(np.uint8)),
    "8 bits of 0 and 255": lambda path, mask: save(path.with_suffix(".png"), mask.astype(np.uint8) * 255),
    "8 bits of 0 and 100": lambda path, mask: save(path.with_suffix(".bmp"), mask.astype(np.uint8) * 100),
    "16 bits of 0 and 1": lambda path, mask: save(path.with_suffix(".png"), mask.astype(np.uint16)),
    "16 bits of 0 and 255": lambda path, mask: save(path.with_suffix(".tif"), mask.astype(np.uint16) * 255),
    "16 bits of 0 and 65535": lambda path, mask: save(path.with_suffix(".png"), mask.astype(np.uint16) * 65535),
    "1 bit": lambda path, mask: pillow(path.with_suffix(".png"), mask),
    "1 bit of TIFF": lambda path, mask: pillow(path.with_suffix(".tif"), mask),
    "float TIFF of 0 and 1": lambda path, mask: save(path.with_suffix(".tif"), mask.astype(np.float32)),
    "float TIFF of 0 and 255": lambda path, mask: save(path.with_suffix(".tif"), mask.astype(np.float32) * 255),
    "int32 TIFF of 0 and 1": lambda path, mask: pillow(path.with_suffix(".tif"), mask.astype(np.int32)),
    "grey as RGB": lambda path, mask: save(path.with_suffix(".png"), np.dstack([mask.astype(np.uint8) * 255] * 3)),
    "red on black": lambda path, mask: pillow(
        path.with_suffix(".png"), np.dstack([mask.astype(np.uint8) * 255, *[np.zeros((SIDE, SIDE), np.uint8)] * 2])
    ),
    "opaque RGBA": lambda path, mask: pillow(
        path.with_suffix(".png"), np.dstack([*[mask.astype(np.uint8) * 255] * 3, np.full((SIDE, SIDE), 255, np.uint8)])
    ),
    "alpha of white": lambda path, mask: pillow(path.with_suffix(".png"), cut_out(mask, 255)),
    "alpha of black": lambda path, mask: pillow(path.with_suffix(".png"), cut_out(mask, 0)),
    "alpha beside grey": lambda path, mask: pillow(path.with_suffix(".png"), cut_out(mask, 9)[..., 2:], "LA"),
    "palette of viridis": lambda path, mask: palette(path.with_suffix(".png"), mask.astype(np.uint8), VIRIDIS),
    "palette of black and red": lambda path, mask: palette(
        path.with_suffix(".gif"), mask.astype(np.uint8), [0, 0, 0, 200, 0, 0]
    ),
    "palette of black and two colours": lambda path, mask: palette(
        path.with_suffix(".png"),
        mask.astype(np.uint8) * np.uint8(1 + (mask.sum() > 500)),
        [0, 0, 0, 200, 0, 0, 0, 200, 9],
    ),
    "palette of black alone": lambda path, mask: palette(path.with_suffix(".png"), mask.astype(np.uint8), [0] * 6),
    "palette whose white comes first": lambda path, mask: palette(
        path.with_suffix(".gif"), 1 - mask.astype(np.uint8), [255, 255, 255, 0, 0, 0]
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_masks_are_read_as_they_were_saved_and_empty_and_full_ones_among_them_too(kind: str, tmp_path: Path) -> None:
    masks = [disc(0), np.zeros((SIDE, SIDE), dtype=np.bool_), disc(5), np.ones((SIDE, SIDE), dtype=np.bool_)]
    paths = [WRITERS[kind](tmp_path / f"m{number}", mask) for number, mask in enumerate(masks)]
    got, _, remarks = read(paths, tmp_path)
    assert [mask.sum() for mask in got] == [mask.sum() for mask in masks]
    assert all(np.array_equal(*pair) for pair in zip(got, masks, strict=True))
    assert remarks == []


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 98])
@pytest.mark.parametrize("as_png", [False, True])
def test_what_a_jpeg_leaves_around_black_is_not_foreground(quality: int, as_png: bool, tmp_path: Path) -> None:
    masks = [disc(0), disc(3), disc(7), np.zeros((SIDE, SIDE), dtype=np.bool_)]
    paths = []
    for number, mask in enumerate(masks):
        encoded = cv2.imencode(".jpg", mask.astype(np.uint8) * 255, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        path = tmp_path / f"m{number}.{'png' if as_png else 'jpg'}"
        path.write_bytes(encoded.tobytes())
        if as_png:
            save(path, np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)))
        paths.append(path)
    got, reading, remarks = read(paths, tmp_path)
    assert 120 <= reading.cuts["8 bits"][-1] <= 128
    for mask, true in zip(got, masks, strict=True):
        assert np.count_nonzero(mask != true) <= (6 if quality < 60 else 3)
    assert remarks == []


def test_soft_edges_are_cut_in_the_middle(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    large = np.asarray((rows - 16) ** 2 + (columns - 16) ** 2 < 144)
    path = save(tmp_path / "soft.png", blurred(large))
    (got,), reading, remarks = read([path], tmp_path)
    assert reading.cuts == {"8 bits": (127,)}
    assert np.count_nonzero(got != large) <= 8
    assert remarks == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_masks_of_0_and_1_beside_such_of_0_and_255_are_each_read_by_their_own_values_and_named(
    dtype: type, tmp_path: Path
) -> None:
    paths = [
        save(tmp_path / f"m{number}.png", disc(number).astype(dtype) * (1 if number % 3 == 0 else 255))
        for number in range(6)
    ]
    got, _, remarks = read(paths, tmp_path)
    assert all(np.array_equal(mask, disc(number)) for number, mask in enumerate(got))
    assert remarks == [
        f"2 masks have no value above 1, while others of {8 * np.dtype(dtype).itemsize} bits reach 255: each is cut by "
        "its own values: m0.png, m3.png"
    ]


def test_masks_of_two_depths_are_each_read_by_their_own(tmp_path: Path) -> None:
    paths = [
        save(
            tmp_path / f"m{number}.png", disc(number).astype(np.uint16) if number % 2 else np.uint8(255) * disc(number)
        )
        for number in range(4)
    ]
    got, reading, remarks = read(paths, tmp_path)
    assert all(np.array_equal(mask, disc(number)) for number, mask in enumerate(got))
    assert reading.cuts == {"8 bits": (127,), "16 bits": (0,)}
    assert remarks == []


@pytest.mark.parametrize("scale", [1, 30, 80])
def test_numbers_of_objects_are_all_foreground_and_it_is_said_so(scale: int, tmp_path: Path) -> None:
    objects = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for number in range(1, 4):
        objects[8 * number : 8 * number + 5, 4:20] = number * scale
    path = save(tmp_path / "objects.png", objects)
    (got,), reading, (remark,) = read([path], tmp_path)
    assert np.array_equal(got, objects > 0)
    assert reading.cuts == {"8 bits": (0,)}
    assert remark == (
        f"masks hold {scale}, {2 * scale}, {3 * scale}: whatever is not 0 is read as foreground: objects.png"
    )


@pytest.mark.parametrize("values", [(0, 1, 255), (0, 128, 255), (0, 1, 2)])
def test_a_third_value_is_no_edge_and_is_named(values: tuple[int, int, int], tmp_path: Path) -> None:
    mask = np.repeat(np.array(values, dtype=np.uint8), [16, 8, 8])[np.newaxis].repeat(SIDE, axis=0)
    (got,), _, (remark,) = read([save(tmp_path / "three.png", mask)], tmp_path)
    assert np.array_equal(got, mask > 0)
    assert f"masks hold {values[1]}, {values[2]}: whatever is not 0 is read as foreground: three.png" == remark


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 3), (84, 253), (255,), (7,)])
def test_masks_without_black_are_refused_by_name(values: tuple[int, ...], tmp_path: Path) -> None:
    mask = np.resize(np.array(values, dtype=np.uint8), (SIDE, SIDE))
    with pytest.raises(DataError, match=r"no pixel of 1 mask of 8 bits is black, such as none\.png: they hold"):
        read([save(tmp_path / "none.png", mask)], tmp_path)


def test_two_colours_without_black_are_refused(tmp_path: Path) -> None:
    colors = np.array(VIRIDIS, dtype=np.uint8).reshape(2, 3)[disc(0).astype(np.int64)]
    with pytest.raises(DataError, match="no pixel of 1 mask of 8 bits is black"):
        read([pillow(tmp_path / "viridis.png", colors)], tmp_path)


def test_alpha_and_colours_that_are_both_masks_are_refused(tmp_path: Path) -> None:
    pixels = cut_out(disc(0), 0)
    pixels[..., :3] = np.where(disc(6), 255, 0)[..., np.newaxis]
    with pytest.raises(DataError, match=r"both\.png: which of both is the mask\?"):
        read([pillow(tmp_path / "both.png", pixels)], tmp_path)


def test_a_photograph_that_was_cut_out_is_read_from_its_alpha_channel_and_named(tmp_path: Path) -> None:
    (got,), reading, (remark,) = read([pillow(tmp_path / "cat.png", photograph(disc(2)))], tmp_path)
    assert reading.alpha
    assert np.array_equal(got, disc(2))
    assert remark == "1 mask is read from the alpha channel, for the colours are pictures, such as cat.png"


def test_a_palette_whose_black_is_not_its_first_colour_is_refused(tmp_path: Path) -> None:
    path = palette(tmp_path / "torn.png", disc(0).astype(np.uint8), [200, 0, 0, 0, 0, 0])
    with pytest.raises(DataError, match=r"black is not colour 0, .* such as torn\.png: which colour is the background"):
        read([path], tmp_path)


def test_palettes_that_number_the_same_colours_otherwise_are_refused(tmp_path: Path) -> None:
    turned = [*VIRIDIS[3:], *VIRIDIS[:3]]
    paths = [
        palette(tmp_path / f"m{number}.png", disc(0).astype(np.uint8), colors)
        for number, colors in enumerate((VIRIDIS, turned))
    ]
    with pytest.raises(DataError, match=r"numbers mean other colours than in the others, such as m1\.png"):
        read(paths, tmp_path)


def test_masks_that_are_all_empty_are_refused(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"m{number}.png", np.zeros((SIDE, SIDE), dtype=np.uint8)) for number in range(4)]
    with pytest.raises(DataError, match=r"all 4 masks are empty, such as m0\.png, m1\.png, m2\.png, \.\.\."):
        read(paths, tmp_path)


@pytest.mark.parametrize("value", [-1.0, 1e6, np.nan])
def test_numbers_that_no_mask_has_are_refused(value: float, tmp_path: Path) -> None:
    path = save(tmp_path / "odd.tif", np.full((SIDE, SIDE), value, dtype=np.float32))
    with pytest.raises(DataError, match=r"odd\.tif: expected values of a mask from 0 to 65535"):
        decode_image(path, SIDE, SIDE, kind="mask")


def test_what_was_measured_and_is_damaged_is_measured_anew(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", np.uint8(255) * disc(0))
    first = decide_masks(mask_facts([path], cache_dir=tmp_path))
    with known_content(tmp_path) as connection, connection:
        connection.execute("UPDATE facts SET fact = replace(fact, '255', '254')")
    assert decide_masks(mask_facts([path], cache_dir=tmp_path)) == first


def test_masks_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [save(tmp_path / f"m{number}.png", np.uint8(255) * disc(number)) for number in range(3)]
    first = decide_masks(mask_facts(paths, cache_dir=tmp_path))
    monkeypatch.setattr("kaggle_ray.images.facts.planes_of", None)
    assert decide_masks(mask_facts(paths, cache_dir=tmp_path)) == first
