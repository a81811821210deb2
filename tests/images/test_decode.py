from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.errors import DataError
from kaggle_ray.images.decode import Pixels, decode_image


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, rgb: Pixels) -> Path:
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])
    return path


def test_an_image_of_the_right_size_comes_back_as_it_is_in_rgb(tmp_path: Path) -> None:
    rgb = noise(16, 16)
    assert np.array_equal(decode_image(write(tmp_path / "a.png", rgb), 16), rgb)


def test_red_comes_first(tmp_path: Path) -> None:
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert decode_image(write(tmp_path / "red.png", red), 4)[0, 0].tolist() == [255, 0, 0]


def test_shrinking_averages_areas(tmp_path: Path) -> None:
    rgb = noise(32, 16)
    blocks = rgb.reshape(8, 4, 8, 2, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(decode_image(write(tmp_path / "a.png", rgb), 8) - blocks).max() <= 0.51


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 40), (40, 4), (1, 1)])
def test_any_shape_becomes_a_contiguous_square(tmp_path: Path, height: int, width: int) -> None:
    pixels = decode_image(write(tmp_path / "a.png", noise(height, width)), 10)
    assert pixels.shape == (10, 10, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_grey_transparent_and_deep_images_become_rgb(tmp_path: Path) -> None:
    grey = np.full((6, 6), 100, dtype=np.uint8)
    transparent = np.dstack([noise(6, 6), np.full((6, 6), 7, dtype=np.uint8)])
    deep = np.full((6, 6, 3), 100 * 257, dtype=np.uint16)
    for name, image in (("grey", grey), ("transparent", transparent), ("deep", deep)):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        assert decode_image(tmp_path / f"{name}.png", 6).shape == (6, 6, 3)
    assert np.all(decode_image(tmp_path / "grey.png", 6) == 100)
    assert np.all(decode_image(tmp_path / "deep.png", 6) == 100)


def test_names_may_have_any_letter(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), noise(4, 4))
    (tmp_path / "a.png").rename(tmp_path / "Öl ü 犬.png")
    assert decode_image(tmp_path / "Öl ü 犬.png", 4).shape == (4, 4, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_a_truncated_image_is_named_with_its_size(tmp_path: Path, suffix: str, share: float) -> None:
    path = write(tmp_path / f"cut{suffix}", noise(64, 64))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError) as caught:
        decode_image(path, 64)
    assert str(caught.value) == f"{path}: does not decode as an image ({int(share * len(content))} bytes)."


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png: cannot be read: No such file or directory"):
        decode_image(tmp_path / "none.png", 4)
    with pytest.raises(DataError, match=r"cannot be read: Is a directory"):
        decode_image(tmp_path, 4)
