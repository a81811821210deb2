"""Near-duplicates are found, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.data.samples import ImagePaths, Samples
from kaggle_ray.images.alignment import compare
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.near_duplicates import DuplicatePairs, find_near_duplicates
from kaggle_ray.testing.planted import judge, made_up_photograph, plant, write_near_duplicate


def photographs(number: int, seed: int = 0) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [made_up_photograph(rng) for _ in range(number)]


def written(images: Sequence[Pixels], folder: Path, name: str = "image") -> list[Path]:
    paths = [folder / f"{name}{number:03d}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    return paths


def samples_of(train: Sequence[ImagePaths], test: Sequence[ImagePaths]) -> Samples:
    return Samples(
        train_ids=as_ids([f"a{row}" for row in range(len(train))]),
        train_paths=tuple(train),
        target=np.zeros(len(train)),
        test_ids=as_ids([f"b{row}" for row in range(len(test))]),
        test_paths=tuple(test),
    )


def found(
    train: Sequence[ImagePaths], test: Sequence[ImagePaths], cache_dir: Path, channels: int = 3
) -> DuplicatePairs:
    return find_near_duplicates(samples_of(train, test), channels=channels, cache_dir=cache_dir)


def duplicate_of(path: Path, seed: int = 0) -> Path:
    duplicate = path.with_name(f"{path.stem}_duplicate{seed}.jpg")
    image = cv2.imread(str(path))
    assert image is not None
    write_near_duplicate(image, duplicate, np.random.default_rng(seed))
    return duplicate


@pytest.mark.parametrize(
    ("num_originals", "num_near_duplicates"), [(20, 30), pytest.param(200, 400, marks=pytest.mark.slow)]
)
def test_planted_near_duplicates_are_found_and_nothing_else(
    num_originals: int, num_near_duplicates: int, tmp_path: Path
) -> None:
    originals = written(photographs(num_originals), tmp_path)
    planted = plant(originals, tmp_path, num_near_duplicates=num_near_duplicates, rng=np.random.default_rng(1))
    judged = judge(planted, find_near_duplicates(planted.samples, channels=3, cache_dir=tmp_path / "cache"))
    assert judged.num_near_duplicates == num_near_duplicates
    assert judged.recall >= 0.99, judged.missed
    assert judged.precision == 1, judged.wrong


def test_near_duplicates_of_images_of_32_pixels_are_found_though_a_re_encoding_changes_them_more(
    tmp_path: Path,
) -> None:
    smoothed = [cv2.GaussianBlur(image, (0, 0), 2.8) for image in photographs(100)]
    originals = written([cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA) for image in smoothed], tmp_path)
    planted = plant(originals, tmp_path, num_near_duplicates=200, rng=np.random.default_rng(1))
    judged = judge(planted, find_near_duplicates(planted.samples, channels=3, cache_dir=tmp_path / "cache"))
    assert judged.num_near_duplicates > 100, "the others have fewer than 24 pixels"
    assert judged.recall >= 0.99, judged.missed
    assert judged.precision == 1, judged.wrong


def test_near_duplicates_in_train_and_between_train_and_test_are_pairs_and_those_of_two_test_images_are_not(
    tmp_path: Path,
) -> None:
    first, second, third = written(photographs(3), tmp_path)
    train = [first, second, duplicate_of(first)]
    test = [duplicate_of(second, 1), third, duplicate_of(third, 2)]
    assert found(train, test, tmp_path / "cache").pairs.tolist() == [[0, 2], [1, 3]]


def test_images_are_decoded_once_and_remembered(tmp_path: Path) -> None:
    train, test = written(photographs(4), tmp_path), written(photographs(2, 1), tmp_path, "test")
    assert found(train, test, tmp_path / "cache").num_decoded == 6
    assert found(train, test, tmp_path / "cache").num_decoded == 0


def test_images_without_texture_are_no_near_duplicates_even_of_equal_bytes(tmp_path: Path) -> None:
    dark, hazy = np.zeros((64, 64, 3), np.uint8), np.tile(np.linspace(90, 110, 64, dtype=np.uint8)[:, None], (1, 64))
    train = written(
        [dark, dark, np.repeat(hazy[:, :, None], 3, axis=2), np.repeat(hazy[:, :, None], 3, axis=2)], tmp_path
    )
    result = found(train, train[:1], tmp_path / "cache")
    assert result.pairs.size == 0
    assert result.compared.size == 0


def test_images_of_one_scene_that_differ_in_a_part_are_no_near_duplicates(tmp_path: Path) -> None:
    scene, *cars = photographs(5)
    for car, others in zip(cars, photographs(4, 2), strict=True):
        car[:] = scene
        car[40:90, 30:100] = others[40:90, 30:100]
    assert found(written(cars, tmp_path), [], tmp_path / "cache").pairs.size == 0


def test_one_small_caption_does_not_keep_near_duplicates_apart(tmp_path: Path) -> None:
    plain = photographs(1)[0]
    marked = plain.copy()
    cv2.putText(marked, "2016", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 255, 255), 1)
    assert found(written([plain, marked], tmp_path), [], tmp_path / "cache").pairs.tolist() == [[0, 1]]


def test_digits_are_too_small_to_compare_and_are_not_even_decoded(tmp_path: Path) -> None:
    _, samples = open_competition(load_competition("digits")[0], tmp_path / "digits")
    result = find_near_duplicates(samples, channels=3, cache_dir=tmp_path / "cache")
    assert (result.pairs.size, result.compared.size, result.num_decoded) == (0, 0, 0)


def test_samples_are_near_duplicates_where_any_of_their_views_are(tmp_path: Path) -> None:
    views = written(photographs(6), tmp_path)
    train = [(views[0], views[1]), (views[2], duplicate_of(views[0])), (views[3], duplicate_of(views[3]))]
    assert found(train, [(views[5], duplicate_of(views[2]))], tmp_path / "cache").pairs.tolist() == [[0, 1], [1, 3]]


@pytest.mark.parametrize(
    ("channels", "dtype", "largest"), [(1, np.uint8, 255), (1, np.uint16, 4095), (4, np.uint16, 65535)]
)
def test_grey_images_those_of_16_bits_and_of_more_channels_are_compared(
    channels: int, dtype: type[np.generic], largest: int, tmp_path: Path
) -> None:
    images = [
        (np.resize(image[..., :1].repeat(4, axis=2)[..., :channels], (128, 128, channels)) / 255 * largest).astype(
            dtype
        )
        for image in photographs(3)
    ]
    images.append(cv2.resize(images[1][3:125, 2:127], (200, 200)).reshape(200, 200, channels))
    train = written(images, tmp_path)
    assert found(train, [], tmp_path / "cache", channels).pairs.tolist() == [[1, 3]]


def test_files_that_do_not_decode_are_passed_over(tmp_path: Path) -> None:
    train = written(photographs(3), tmp_path)
    train.append(duplicate_of(train[1]))
    train[0].write_bytes(b"")
    missing = tmp_path / "missing.png"
    assert found(train, [missing], tmp_path / "cache").pairs.tolist() == [[1, 3]]


def test_many_copies_of_one_image_are_all_linked(tmp_path: Path) -> None:
    image, other = photographs(2)
    train = written([image] * 40 + [other], tmp_path)
    pairs = found(train, train[:1], tmp_path / "cache").pairs
    assert set(pairs.ravel().tolist()) == {*range(40), 41}


@pytest.mark.parametrize("num_pairs", [0, 1, 3])
def test_pairs_that_have_nothing_in_common_agree_in_nothing_however_few_they_are(num_pairs: int) -> None:
    noise = np.random.default_rng(0).uniform(0, 255, (2, num_pairs, 32, 32)).astype(np.float32)
    agreement = compare(noise[0], noise[1], np.full(num_pairs, 64))
    assert agreement.correlation.tolist() == [0.0] * num_pairs
    assert agreement.excess.tolist() == [np.inf] * num_pairs
