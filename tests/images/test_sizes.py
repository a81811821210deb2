from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.datasets import open_masks, open_train
from kaggle_ray.images.reading import as_read
from kaggle_ray.images.sizes import are_of_one_shape
from kaggle_ray.testing.tasks import FULL, toy_of

OWN = MaskSize(height=16, width=16)


@pytest.fixture
def toy(tmp_path: Path) -> tuple[Competition, Samples]:
    return open_competition(toy_of("masks"), tmp_path / "data")


def masks_of(samples: Samples) -> tuple[Path, ...]:
    assert samples.train_masks is not None
    return samples.train_masks


def resize(path: Path, height: int, width: int) -> None:
    pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    assert cv2.imwrite(str(path), cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST))


def photograph(path: Path, orientation: int, height: int = 20, width: int = 30) -> None:
    """Write a photograph, which is bright where its mask's left upper corner would be, whatever its name says."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:8, :12] = 250
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, format="JPEG", exif=exif, quality=95)


def corner_mask(path: Path, *, turned: bool, height: int = 20, width: int = 30) -> None:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[:8, :12] = 255
    assert cv2.imwrite(str(path), np.rot90(mask, k=-1) if turned else mask)


def photographs(
    samples: Samples, *, orientation: int = 6, turned: bool = False, height: int = 20, width: int = 30
) -> None:
    for path in samples.train_files + samples.test_files:
        photograph(path, orientation, height, width)
    for path in masks_of(samples):
        corner_mask(path, turned=turned, height=height, width=width)


def overlap(competition: Competition, samples: Samples, cache: Path) -> float:
    """Return the least share of a mask's pixels whose photograph is bright."""
    images = open_train(competition, samples, (20, 20), cache).read(np.arange(4))[..., 0] > 125
    opened = open_masks(competition, samples, (20, 20), cache)
    assert opened is not None
    masks = opened.read(np.arange(4))[..., 0] > 125
    return float(((images & masks).sum(axis=(1, 2)) / (images | masks).sum(axis=(1, 2))).min())


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_photographs_whose_masks_are_of_the_stored_pixels_are_not_turned(
    orientation: int, toy: tuple[Competition, Samples], tmp_path: Path
) -> None:
    competition, samples = toy
    photographs(samples, orientation=orientation)
    read = as_read(replace(competition, mask=OWN), samples, tmp_path / "cache")
    assert read.reading is not None
    assert read.reading.images is not None
    assert read.reading.images.as_stored
    assert f"{len(samples.train_ids)} masks are of the photographs as they are stored" in read.reading.remarks[0]
    assert overlap(read, samples, tmp_path / "cache") > 0.8
    assert read.mask is not None
    assert read.mask.full_size(str(samples.test_ids[0])) == (20, 30)


def test_photographs_whose_masks_are_of_the_turned_pixels_are_turned(
    toy: tuple[Competition, Samples], tmp_path: Path
) -> None:
    competition, samples = toy
    photographs(samples, turned=True)
    read = as_read(replace(competition, mask=OWN), samples, tmp_path / "cache")
    assert read.reading is not None
    assert read.reading.remarks == ()
    assert overlap(read, samples, tmp_path / "cache") > 0.8
    assert read.mask is not None
    assert read.mask.full_size(str(samples.test_ids[0])) == (30, 20)


def test_masks_of_both_are_refused_with_one_of_each(toy: tuple[Competition, Samples], tmp_path: Path) -> None:
    competition, samples = toy
    photographs(samples)
    corner_mask(masks_of(samples)[3], turned=True)
    with pytest.raises(DataError, match=rf"1 mask is of the turned ones, such as {samples.train_files[3].name}, but"):
        as_read(replace(competition, mask=OWN), samples, tmp_path / "cache")


@pytest.mark.parametrize(("orientation", "height", "width"), [(6, 20, 20), (3, 20, 30), (2, 20, 30)])
def test_turned_photographs_whose_sizes_tell_nothing_are_named(
    orientation: int, height: int, width: int, toy: tuple[Competition, Samples], tmp_path: Path
) -> None:
    competition, samples = toy
    photographs(samples, orientation=orientation, height=height, width=width)
    reading = as_read(replace(competition, mask=OWN), samples, tmp_path / "cache").reading
    assert reading is not None
    (remark,) = reading.remarks
    assert remark.startswith(f"{len(samples.train_ids)} photographs are turned by their EXIF data, and the size of no")


@pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 32), (32, 34)])
@pytest.mark.parametrize("mask", [OWN, None])
def test_a_mask_of_another_shape_than_its_image_is_refused_by_name(
    height: int, width: int, mask: MaskSize | None, toy: tuple[Competition, Samples], tmp_path: Path
) -> None:
    competition, samples = toy
    resize(masks_of(samples)[7], height, width)
    message = rf"{samples.train_files[7].name}: is 32 x 32 pixels and its mask {height} x {width}"
    with pytest.raises(DataError, match=message):
        as_read(replace(competition, mask=mask or competition.mask), samples, tmp_path / "cache")


def test_masks_that_are_smaller_than_their_images_are_named(toy: tuple[Competition, Samples], tmp_path: Path) -> None:
    competition, samples = toy
    for path in masks_of(samples):
        resize(path, 16, 16)
    reading = as_read(competition, samples, tmp_path / "cache").reading
    assert reading is not None
    assert reading.remarks[0].startswith(f"{len(samples.train_ids)} masks are larger or smaller than the image")


@pytest.mark.parametrize("sides", [(32, 40), (64, 64), (20, 32)])
def test_a_test_image_of_another_size_than_the_declared_one_is_refused_by_name(
    sides: tuple[int, int], toy: tuple[Competition, Samples], tmp_path: Path
) -> None:
    competition, samples = toy
    resize(samples.test_files[2], *sides)
    message = rf"{samples.test_files[2].name}: is {sides[0]} x {sides[1]} pixels, .* declares {FULL} x {FULL}"
    with pytest.raises(DataError, match=message):
        as_read(competition, samples, tmp_path / "cache")


def test_files_that_were_all_shrunk_alike_are_submitted_at_the_declared_size_and_named(
    toy: tuple[Competition, Samples], tmp_path: Path
) -> None:
    competition, samples = toy
    for path in (*samples.train_files, *samples.test_files, *masks_of(samples)):
        resize(path, FULL // 2, FULL // 2)
    reading = as_read(competition, samples, tmp_path / "cache").reading
    assert reading is not None
    (remark,) = reading.remarks
    assert "are larger or smaller than the declared 32 x 32 pixels, such as a000.png: what is submitted" in remark


def test_each_image_may_have_a_size_of_its_own(toy: tuple[Competition, Samples], tmp_path: Path) -> None:
    competition, samples = toy
    for path in (samples.train_files[1], masks_of(samples)[1]):
        resize(path, 40, 24)
    resize(samples.test_files[1], 24, 64)
    mask = as_read(replace(competition, mask=OWN), samples, tmp_path / "cache").mask
    assert mask is not None
    assert mask.full_size(str(samples.train_ids[1])) == (40, 24)
    assert mask.full_size(str(samples.test_ids[1])) == (24, 64)
    assert mask.full_size(str(samples.test_ids[0])) == (32, 32)


def test_a_sample_that_is_in_train_and_test_has_one_size(toy: tuple[Competition, Samples], tmp_path: Path) -> None:
    competition, samples = toy
    resize(samples.test_files[0], 40, 24)
    samples = replace(samples, test_ids=np.array([*samples.train_ids[:1], *samples.test_ids[1:]]))
    with pytest.raises(DataError, match=r"sample 'a000' is to train on and to predict, with images of other sizes"):
        as_read(replace(competition, mask=OWN), samples, tmp_path / "cache")


def test_one_full_side_is_not_enough() -> None:
    with pytest.raises(ConfigError, match="expected full_height and full_width, or neither"):
        MaskSize(full_height=3, height=3, width=3)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((1280, 1918), (320, 480), True),
        ((101, 101), (128, 128), True),
        ((375, 499), (188, 250), True),
        ((64, 96), (96, 64), False),
        ((32, 32), (32, 34), False),
        ((1000, 2000), (500, 1010), False),
    ],
)
def test_a_shape_is_that_of_sides_before_they_were_rounded(
    one: tuple[int, int], other: tuple[int, int], same: bool
) -> None:
    assert are_of_one_shape(one, other) == are_of_one_shape(other, one) == same
