"""Decoded once per machine and size, and never half a cache."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from kaggle_ray.errors import DataError, StoreError
from kaggle_ray.images import cache
from kaggle_ray.images.cache import cached_images, default_cache_dir
from kaggle_ray.images.decode import Pixels, decode_image

SIZE = 8
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    paths = [tmp_path / f"images/{number}.png" for number in range(6)]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
    return paths


def test_pixels_are_in_the_order_of_the_paths_and_read_only(tmp_path: Path, paths: list[Path]) -> None:
    images = cached_images(paths, SIZE, tmp_path / "cache")
    assert images.pixels.shape == (6, SIZE, SIZE, 3)
    assert images.num_decoded == 6
    for row, path in enumerate(paths):
        assert np.array_equal(images.pixels[row], decode_image(path, SIZE))
    with pytest.raises(ValueError, match="read-only"):
        images.pixels[0] = 0
    backwards = cached_images(paths[::-1], SIZE, tmp_path / "cache")
    assert np.array_equal(backwards.pixels, images.pixels[::-1])


def test_the_second_time_nothing_is_decoded(tmp_path: Path, paths: list[Path]) -> None:
    first = cached_images(paths, SIZE, tmp_path / "cache")
    with patch.object(cache, "decode_image", side_effect=AssertionError("decoded again")):
        second = cached_images(paths, SIZE, tmp_path / "cache")
    assert second.num_decoded == 0
    assert np.array_equal(first.pixels, second.pixels)


def test_another_size_is_another_entry(tmp_path: Path, paths: list[Path]) -> None:
    cached_images(paths, SIZE, tmp_path / "cache")
    assert cached_images(paths, 4, tmp_path / "cache").pixels.shape == (6, 4, 4, 3)
    assert cached_images(paths, SIZE, tmp_path / "cache").num_decoded == 0


def test_a_changed_file_is_decoded_anew(tmp_path: Path, paths: list[Path]) -> None:
    cached_images(paths, SIZE, tmp_path / "cache")
    cv2.imwrite(str(paths[2]), np.full((SIZE, SIZE, 3), 9, dtype=np.uint8))
    images = cached_images(paths, SIZE, tmp_path / "cache")
    assert images.num_decoded == 6
    assert np.all(images.pixels[2] == 9)


def test_a_file_of_the_same_length_changed_later_is_decoded_anew(tmp_path: Path, paths: list[Path]) -> None:
    cached_images(paths, SIZE, tmp_path / "cache")
    status = paths[0].stat()
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert cached_images(paths, SIZE, tmp_path / "cache").num_decoded == 6


def test_missing_files_are_named(tmp_path: Path, paths: list[Path]) -> None:
    paths[1].unlink()
    with pytest.raises(DataError, match=rf"1 images are missing: {paths[1]}\."):
        cached_images(paths, SIZE, tmp_path / "cache")


def test_files_that_do_not_decode_are_counted_and_the_first_are_named(tmp_path: Path, paths: list[Path]) -> None:
    paths[1].write_bytes(b"")
    paths[4].write_bytes(b"text")
    with pytest.raises(DataError) as caught:
        cached_images(paths, SIZE, tmp_path / "cache")
    assert str(caught.value).startswith("2 of 6 images cannot be decoded: ")
    assert f"{paths[1]}: does not decode" in str(caught.value)
    assert f"{paths[4]}: does not decode" in str(caught.value)
    assert not list((tmp_path / "cache").glob("**/*.npy"))


def test_a_repaired_file_is_all_it_takes(tmp_path: Path, paths: list[Path]) -> None:
    good = paths[1].read_bytes()
    paths[1].write_bytes(good[:20])
    with pytest.raises(DataError):
        cached_images(paths, SIZE, tmp_path / "cache")
    paths[1].write_bytes(good)
    assert cached_images(paths, SIZE, tmp_path / "cache").num_decoded == 6


def test_too_little_space_is_named_before_anything_is_decoded(tmp_path: Path, paths: list[Path]) -> None:
    usage = type("Usage", (), {"free": 100})
    with (
        patch("shutil.disk_usage", return_value=usage),
        pytest.raises(StoreError, match=r"decoded images need 0 MiB, 0 MiB are free\. .*KAGGLE_RAY_CACHE"),
    ):
        cached_images(paths, SIZE, tmp_path / "cache")


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path, paths: list[Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/cache: the image cache cannot be written: .*KAGGLE_RAY_CACHE"):
        cached_images(paths, SIZE, tmp_path / "file/cache")


def test_the_folder_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", "/somewhere")
    assert default_cache_dir() == Path("/somewhere")
    monkeypatch.delenv("KAGGLE_RAY_CACHE")
    assert default_cache_dir().name == "kaggle_ray"


# Several processes --------------------------------------------------------------------------------------------------


def _slowly(path: Path, size: int) -> Pixels:
    time.sleep(0.1)
    return decode_image(path, size)


def _count_decoded(paths: list[Path], folder: Path, counted: multiprocessing.Queue[int]) -> None:
    with patch.object(cache, "decode_image", _slowly):
        counted.put(cached_images(paths, SIZE, folder).num_decoded)


def test_processes_that_build_at_once_decode_once_in_total(tmp_path: Path, paths: list[Path]) -> None:
    counted: multiprocessing.Queue[int] = FORK.Queue()
    processes = [FORK.Process(target=_count_decoded, args=(paths, tmp_path / "cache", counted)) for _ in range(3)]
    for process in processes:
        process.start()
    numbers = sorted(counted.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(timeout=60)
    assert numbers == [0, 0, 6]


def _hang_at_the_fourth(paths: list[Path], folder: Path, reached: Path) -> None:
    def decode(path: Path, size: int) -> Pixels:
        if path == paths[3]:
            reached.write_text("")
            time.sleep(600)
        return decode_image(path, size)

    with patch.object(cache, "decode_image", decode):
        cached_images(paths, SIZE, folder)


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_a_killed_process_built_is_not_taken_for_whole(tmp_path: Path, paths: list[Path]) -> None:
    reached = tmp_path / "reached"
    process = FORK.Process(target=_hang_at_the_fourth, args=(paths, tmp_path / "cache", reached))
    process.start()
    _wait_for(reached.exists)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=60)
    images = cached_images(paths, SIZE, tmp_path / "cache")
    assert images.num_decoded == 6
    assert all(np.array_equal(images.pixels[row], decode_image(path, SIZE)) for row, path in enumerate(paths))
