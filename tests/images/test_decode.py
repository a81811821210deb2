from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from PIL import Image

from kaggle_ray.errors import DataError
from kaggle_ray.images import decode
from kaggle_ray.images.decode import Pixels, decode_image
from kaggle_ray.images.jpeg import JpegHeader

CHIPS = Path(__file__).resolve().parents[3] / "shared/data/planet-understanding-the-amazon-from-space/train-jpg"


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, rgb: Pixels) -> Path:
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])
    return path


def test_an_image_of_the_right_size_comes_back_as_it_is_in_rgb(tmp_path: Path) -> None:
    rgb = noise(16, 16)
    assert np.array_equal(decode_image(write(tmp_path / "a.png", rgb), 16, 16), rgb)


def test_red_comes_first(tmp_path: Path) -> None:
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert decode_image(write(tmp_path / "red.png", red), 4, 4)[0, 0].tolist() == [255, 0, 0]


def test_shrinking_averages_areas(tmp_path: Path) -> None:
    rgb = noise(32, 16)
    blocks = rgb.reshape(8, 4, 8, 2, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(decode_image(write(tmp_path / "a.png", rgb), 8, 8) - blocks).max() <= 0.51


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 40), (40, 4), (1, 1)])
def test_any_shape_becomes_a_contiguous_square(tmp_path: Path, height: int, width: int) -> None:
    pixels = decode_image(write(tmp_path / "a.png", noise(height, width)), 10, 10)
    assert pixels.shape == (10, 10, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_grey_transparent_and_deep_images_become_rgb(tmp_path: Path) -> None:
    grey = np.full((6, 6), 100, dtype=np.uint8)
    transparent = np.dstack([noise(6, 6), np.full((6, 6), 7, dtype=np.uint8)])
    deep = np.full((6, 6, 3), 100 * 257, dtype=np.uint16)
    for name, image in (("grey", grey), ("transparent", transparent), ("deep", deep)):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        assert decode_image(tmp_path / f"{name}.png", 6, 6).shape == (6, 6, 3)
    assert np.all(decode_image(tmp_path / "grey.png", 6, 6) == 100)
    assert np.all(decode_image(tmp_path / "deep.png", 6, 6) == 100 * 257)


def test_names_may_have_any_letter(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), noise(4, 4))
    (tmp_path / "a.png").rename(tmp_path / "Öl ü 犬.png")
    assert decode_image(tmp_path / "Öl ü 犬.png", 4, 4).shape == (4, 4, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_a_truncated_image_is_named_with_its_size(tmp_path: Path, suffix: str, share: float) -> None:
    path = write(tmp_path / f"cut{suffix}", noise(64, 64))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError) as caught:
        decode_image(path, 64, 64)
    assert str(caught.value) == f"{path}: does not decode as an image ({int(share * len(content)):,} bytes)."


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png: cannot be read: No such file or directory"):
        decode_image(tmp_path / "none.png", 4, 4)
    with pytest.raises(DataError, match="is no regular file"):
        decode_image(tmp_path, 4, 4)


# What Kaggle's files are ---------------------------------------------------------------------------------------------


def test_sides_may_differ(tmp_path: Path) -> None:
    assert decode_image(write(tmp_path / "a.png", noise(16, 16)), 4, 10).shape == (4, 10, 3)


def smooth(height: int, width: int) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256 // 2], axis=2).astype(
        np.uint8
    )


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA"])
def test_every_mode_of_a_file_becomes_its_colours(tmp_path: Path, mode: str) -> None:
    rgb = smooth(32, 32)
    image = Image.fromarray(rgb).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path, quality=95)
    expected = np.array(image.convert("RGB")).astype(np.int64)
    assert np.abs(decode_image(path, 32, 32).astype(np.int64) - expected).mean() < 4


def test_a_photograph_is_turned_as_its_exif_data_says(tmp_path: Path) -> None:
    rgb = smooth(40, 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    expected = np.rot90(rgb, k=-1)
    got = decode_image(tmp_path / "turned.jpg", 20, 40)
    assert np.abs(got.astype(np.int64) - expected).mean() < 4


@pytest.mark.parametrize("turned", [False, True])
def test_a_large_photograph_that_is_decoded_at_a_fraction_looks_the_same(tmp_path: Path, turned: bool) -> None:
    rgb = cv2.GaussianBlur(noise(1200, 1600), (0, 0), 8)
    rgb = cv2.normalize(rgb, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    Image.fromarray(rgb).save(tmp_path / "large.jpg", quality=98, exif=exif)
    assert (tmp_path / "large.jpg").stat().st_size > 100_000
    upright = np.rot90(rgb, k=-1) if turned else rgb
    expected = cv2.resize(np.ascontiguousarray(upright), (100, 100), interpolation=cv2.INTER_AREA).astype(np.int64)
    assert np.abs(decode_image(tmp_path / "large.jpg", 100, 100).astype(np.int64) - expected).mean() < 2


def photograph(height: int, width: int) -> Pixels:
    rgb = cv2.GaussianBlur(noise(height, width), (0, 0), 8)
    return np.asarray(cv2.normalize(rgb, None, 0, 255, cv2.NORM_MINMAX)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(375, 499), (376, 504), (301, 297)])
def test_decoding_at_a_fraction_neither_shifts_nor_blurs(
    tmp_path: Path, height: int, width: int, channels: int
) -> None:
    Image.fromarray(photograph(height, width)).save(tmp_path / "a.jpg", quality=95)
    full = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE)
    with patch.object(cv2, "imdecode", wraps=cv2.imdecode) as decoding:
        got = decode_image(tmp_path / "a.jpg", 60, 80, channels=channels)
    (call,) = decoding.call_args_list
    assert call.args[1] & (cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_REDUCED_GRAYSCALE_4)
    expected = cv2.resize(full, (80, 60), interpolation=cv2.INTER_AREA).reshape(60, 80, channels).astype(np.int64)
    assert got.shape == expected.shape
    assert got.flags.c_contiguous
    assert np.abs(got - expected).mean() < 1
    assert np.abs(got - expected)[:, -8:].mean() < 1  # where a stretch would show


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("height", "width"), [(368, 496), (375, 499)])
def test_every_turn_of_a_photograph_is_the_same_at_a_fraction(
    tmp_path: Path, orientation: int, height: int, width: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photograph(height, width)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR_RGB)
    expected = cv2.resize(upright, (40, 60), interpolation=cv2.INTER_AREA).astype(np.int64)
    assert np.abs(decode_image(tmp_path / "a.jpg", 60, 40) - expected).mean() < 1


def test_a_header_that_misleads_costs_nothing_but_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", smooth(50, 60))
    expected = decode_image(path, 20, 20)
    with patch.object(decode, "read_header", return_value=JpegHeader(4000, 4000, False)):
        assert np.array_equal(decode_image(path, 20, 20), expected)


def test_a_truncated_photograph_that_would_be_decoded_at_a_fraction_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.jpg", photograph(400, 400))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="does not decode as an image"):
        decode_image(path, 20, 20)


def test_a_mask_is_the_share_of_what_is_not_black(tmp_path: Path) -> None:
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[:, :4] = 255
    mask[0, 4] = 1  # nearly black is foreground, too
    Image.fromarray(mask).convert("P").save(tmp_path / "mask.gif")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    full = decode_image(tmp_path / "mask.png", 8, 8, kind="mask")
    assert full.shape == (8, 8, 1)
    assert np.array_equal(full[..., 0], np.where(mask > 0, 255, 0))
    assert decode_image(tmp_path / "mask.png", 1, 1, kind="mask").ravel().tolist() == [round(255 * 33 / 64)]
    gif = decode_image(tmp_path / "mask.gif", 8, 8, kind="mask")
    assert np.array_equal(gif[:, :4, 0], np.full((8, 4), 255))
    assert not gif[1:, 4:].any()


def test_labels_are_the_numbers_of_a_palette_and_are_never_mixed(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 4, (9, 9), dtype=np.uint8)
    palette = Image.fromarray(numbers, mode="P")
    palette.putpalette([number for color in ((0, 0, 0), (200, 0, 0), (0, 200, 0), (9, 9, 9)) for number in color])
    palette.save(tmp_path / "labels.png")
    assert np.array_equal(decode_image(tmp_path / "labels.png", 9, 9, kind="labels")[..., 0], numbers)
    shrunk = decode_image(tmp_path / "labels.png", 3, 3, kind="labels")
    assert np.array_equal(shrunk[..., 0], numbers[1::3, 1::3])


def test_labels_in_colours_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "colours.png", noise(4, 4))
    with pytest.raises(DataError, match=r"expected a palette or grey image of class numbers 0\.\.255"):
        decode_image(tmp_path / "colours.png", 4, 4, kind="labels")


def test_four_bands_are_four_channels(tmp_path: Path) -> None:
    bands = np.random.default_rng(0).integers(0, 60000, (8, 8, 4), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "bands.tif"), bands[..., [2, 1, 0, 3]])
    got = decode_image(tmp_path / "bands.tif", 8, 8, channels=4)
    assert got.dtype == np.uint16
    assert np.array_equal(got, bands)
    with pytest.raises(DataError, match="expected 5 channels, got 4"):
        decode_image(tmp_path / "bands.tif", 8, 8, channels=5)


def test_one_channel_is_grey(tmp_path: Path) -> None:
    assert decode_image(write(tmp_path / "a.png", noise(8, 8)), 4, 4, channels=1).shape == (4, 4, 1)


@pytest.mark.skipif(not CHIPS.is_dir(), reason="the satellite chips are not here")
def test_real_chips_that_decode_as_cmyk_have_sane_colours() -> None:
    for path in sorted(CHIPS.glob("*.jpg")):
        expected = np.array(Image.open(path).convert("RGB")).astype(np.int64)
        got = decode_image(path, *expected.shape[:2])
        assert np.abs(got - expected).mean() < 4
