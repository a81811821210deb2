from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.reading import ImageReading, MaskReading, Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import DataError
from kaggle_ray.images.datasets import open_test, open_train, unreadable_of
from kaggle_ray.images.reading import as_read
from kaggle_ray.images.unreadable import without_unreadable
from kaggle_ray.testing.tasks import toy_of


def toy(
    folder: Path, *, train: tuple[int, int], test: tuple[int, int], dtype: type = np.uint16
) -> tuple[Competition, Samples]:
    """Return the toy regression with files of pixels from a lowest to a highest value, in train and in test."""
    competition, samples = open_competition(toy_of("regression"), folder)
    for files, (lowest, highest) in ((samples.train_files, train), (samples.test_files, test)):
        for number, path in enumerate(files):
            pixels = np.linspace(lowest, highest - (7 if number else 0), 32 * 32 * 3).reshape(32, 32, 3)
            assert cv2.imwrite(str(path), pixels.astype(dtype))
    return competition, samples


@pytest.mark.parametrize(
    ("used", "read"),
    [
        ((0, 4095), (0, 4095)),
        ((12, 3800), (0, 4095)),
        ((0, 1000), (0, 1023)),
        ((0, 16000), (0, 16383)),
        ((0, 200), (0, 255)),
        ((0, 40000), (0, 65535)),
        ((5, 65535), (0, 65535)),
        ((31000, 34000), (31000, 34000)),
    ],
)
def test_images_of_16_bits_are_read_by_the_range_that_they_use(
    used: tuple[int, int], read: tuple[int, int], tmp_path: Path
) -> None:
    competition, samples = toy(tmp_path / "data", train=used, test=used)
    reading = as_read(competition, samples, tmp_path / "cache").reading
    assert reading is not None
    assert reading.images == ImageReading(bits=16, black=read[0], white=read[1])
    assert len(reading.remarks) == (read != (0, 65535))
    for images in (open_train, open_test):
        pixels = images(competition, samples, (32, 32), tmp_path / "cache").read(np.arange(1))
        assert pixels.dtype == np.uint16
        expected = [65535 * (value - read[0]) / (read[1] - read[0]) for value in used]
        assert np.abs([pixels.min() - expected[0], pixels.max() - expected[1]]).max() <= 0.5


def test_what_is_brighter_among_the_images_to_predict_is_named(tmp_path: Path) -> None:
    competition, samples = toy(tmp_path / "data", train=(0, 4000), test=(0, 9000))
    reading = as_read(competition, samples, tmp_path / "cache").reading
    assert reading is not None
    assert reading.remarks[1].startswith(f"{len(samples.test_ids)} images to predict have values outside of 0 to 4095")
    assert open_test(competition, samples, (32, 32), tmp_path / "cache").read(np.arange(1)).max() == 65535


def test_one_bright_pixel_among_dark_images_is_named(tmp_path: Path) -> None:
    competition, samples = toy(tmp_path / "data", train=(0, 4095), test=(0, 4095))
    bright = np.asarray(cv2.imread(str(samples.train_files[3]), cv2.IMREAD_UNCHANGED))
    bright[0, 0] = 65535
    cv2.imwrite(str(samples.train_files[3]), bright)
    reading = as_read(competition, samples, tmp_path / "cache").reading
    assert reading is not None
    (remark,) = reading.remarks
    assert "most 16-bit images are nearly black" in remark
    assert f"{samples.train_files[3].name} has 65535" in remark


def test_what_is_declared_is_not_looked_for(tmp_path: Path) -> None:
    competition, samples = open_competition(toy_of("masks"), tmp_path / "data")
    declared = Reading(masks=MaskReading(cuts={"8 bits": (200,)}))
    found = as_read(replace(competition, reading=declared), samples, tmp_path / "cache").reading
    assert found == Reading(images=ImageReading(bits=8), masks=declared.masks)


@pytest.mark.parametrize(("many", "one"), [(np.uint16, np.uint8), (np.uint8, np.uint16)])
def test_a_file_of_other_bits_is_named_and_can_be_left_out(many: type, one: type, tmp_path: Path) -> None:
    highest = int(np.iinfo(many).max)
    competition, samples = toy(tmp_path / "data", train=(0, highest), test=(0, highest), dtype=many)
    odd = (samples.train_files[5], samples.test_files[2])
    for path in odd:
        assert cv2.imwrite(str(path), np.zeros((32, 32, 3), dtype=one))
    competition, cache = as_read(competition, samples, tmp_path / "cache"), tmp_path / "cache"
    bits = 8 * np.dtype(many).itemsize
    message = rf"{odd[0].name}: expected {bits} bits per channel like most images to train on, got {24 - bits}"
    with pytest.raises(DataError, match=message):
        open_train(competition, samples, (32, 32), cache)
    assert set(unreadable_of(competition, samples, cache)) == set(odd)
    assert competition.reading is not None
    kept = without_unreadable(competition, samples, odd, cache)
    assert len(kept.train_ids) == len(samples.train_ids) - 1
    assert open_train(competition, kept, (32, 32), cache).shape[0] == len(kept.train_ids)
    stands_in = open_test(competition, kept, (32, 32), cache).read(np.array([2]))
    assert abs(stands_in.mean() / np.iinfo(many).max - 0.5) < 0.01


def test_test_images_of_other_bits_than_those_to_train_on_are_refused(tmp_path: Path) -> None:
    competition, samples = toy(tmp_path / "data", train=(0, 255), test=(0, 255), dtype=np.uint8)
    for path in samples.test_files:
        assert cv2.imwrite(str(path), np.zeros((32, 32, 3), dtype=np.uint16))
    with pytest.raises(DataError, match=r"the training images have 8 bits per channel, such as .* to predict 16"):
        as_read(competition, samples, tmp_path / "cache")


def test_a_reading_comes_back_from_json() -> None:
    reading = Reading(
        images=ImageReading(bits=16, black=3, white=4095),
        masks=MaskReading(alpha=True, cuts={"8 bits": (0, 127), "palette": (0,)}),
        remarks=("a", "b"),
    )
    assert Reading.recorded(reading.to_json(), where="reading.json") == reading
    assert Reading.recorded(None, where="reading.json").images == ImageReading()
