"""Decoded once per machine and size, and never half a cache."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from kaggle_ray.cache.entries import list_entries
from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError, StoreError
from kaggle_ray.images import layout
from kaggle_ray.images.cache import Images, open_images
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(paths: list[Path], folder: Path, size: int = SIZE, **options: object) -> Images:
    return open_images(paths, height=size, width=size, cache_dir=folder, **options)  # type: ignore[arg-type]


def everything(images: Images) -> Pixels:
    return images.read(np.arange(images.shape[0]))


def decoded(path: Path) -> Pixels:
    return decode_image(path, SIZE, SIZE)


def test_pixels_are_in_the_order_of_the_paths_and_read_only(folder: Path, paths: list[Path]) -> None:
    images = opened(paths, folder)
    assert images.shape == (6, SIZE, SIZE, 3)
    assert images.num_decoded == 6
    assert np.array_equal(everything(images), np.stack([decoded(path) for path in paths]))
    assert images.pixels is not None
    with pytest.raises(ValueError, match="read-only"):
        images.pixels[0] = 0
    rows = np.array([4, 0, 4])
    assert np.array_equal(images.read(rows), everything(images)[rows])


def test_what_is_read_may_be_changed_without_harm(folder: Path, paths: list[Path]) -> None:
    images = opened(paths, folder)
    before = everything(images)
    images.read(np.array([0]))[:] = 0
    assert np.array_equal(everything(images), before)


def test_the_second_time_nothing_is_decoded_in_whatever_order(folder: Path, paths: list[Path]) -> None:
    first = opened(paths, folder)
    with patch.object(layout, "decode_image", side_effect=AssertionError("decoded again")):
        second = opened(paths[::-1], folder)
    assert second.num_decoded == 0
    assert np.array_equal(everything(first), everything(second)[::-1])


def test_files_of_the_same_content_are_decoded_once_wherever_they_lie(
    folder: Path, paths: list[Path], tmp_path: Path
) -> None:
    copies = [tmp_path / f"copy{number}.png" for number in range(6)]
    for path, copy in zip(paths, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    together = opened([*paths, *copies], folder)
    assert together.num_decoded == 6
    assert together.shape[0] == 12
    assert np.array_equal(everything(together)[:6], everything(together)[6:])
    moved = opened(copies, folder)
    assert moved.num_decoded == 0
    assert np.array_equal(everything(moved), everything(together)[:6])


def test_another_size_or_kind_is_another_entry(folder: Path, paths: list[Path]) -> None:
    opened(paths, folder)
    assert opened(paths, folder, 4).shape == (6, 4, 4, 3)
    assert open_images(paths, height=4, width=6, cache_dir=folder).shape == (6, 4, 6, 3)
    masks = opened(paths, folder, kind="mask")
    assert masks.shape == (6, SIZE, SIZE, 1)
    assert masks.num_decoded == 6
    assert opened(paths, folder).num_decoded == 0


def test_deep_images_stay_deep(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), 1000, dtype=np.uint16))
    images = opened([path], folder)
    assert everything(images).dtype == np.uint16
    assert np.all(everything(images) == 1000)


def test_images_of_different_depth_are_named(folder: Path, paths: list[Path]) -> None:
    cv2.imwrite(str(paths[3]), np.full((SIZE, SIZE, 3), 1000, dtype=np.uint16))
    with pytest.raises(DataError, match=r"expected uint(8|16) pixels like those of the other images, got uint"):
        opened(paths, folder)


def test_a_changed_file_is_decoded_anew(folder: Path, paths: list[Path]) -> None:
    opened(paths, folder)
    cv2.imwrite(str(paths[2]), np.full((SIZE, SIZE, 3), 9, dtype=np.uint8))
    images = opened(paths, folder)
    assert images.num_decoded == 6
    assert np.all(everything(images)[2] == 9)


def test_a_file_that_was_only_touched_is_not_decoded_anew(folder: Path, paths: list[Path]) -> None:
    opened(paths, folder)
    status = paths[0].stat()
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert opened(paths, folder).num_decoded == 0


def test_unchanged_files_are_not_even_read_again(folder: Path, paths: list[Path]) -> None:
    opened(paths, folder)

    with patch("kaggle_ray.images.fingerprints.read_content", side_effect=read_content) as read:
        assert opened(paths, folder).num_decoded == 0
        read.assert_not_called()
        os.utime(paths[0], ns=(0, 0))
        opened(paths, folder)
        read.assert_called_once_with(paths[0])


def pixels_file(folder: Path) -> Path:
    (path,) = folder.glob("images/*/pixels.npy")
    return path


def flipped(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda data: data[:128] + bytes(len(data) - 128), lambda data: bytes(len(data)), lambda data: data[:-1],
     lambda data: b"", lambda data: b"\x00" + data[1:]],
    ids=["a flipped bit", "zeros", "zeros with the header", "a lost end", "empty", "a damaged header"],
)  # fmt: skip
def test_pixels_that_are_not_those_that_were_decoded_are_decoded_anew(
    folder: Path, paths: list[Path], damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    good = everything(opened(paths, folder))
    path, status = pixels_file(folder), pixels_file(folder).stat()
    path.write_bytes(damage(path.read_bytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = opened(paths, folder)
    assert again.num_decoded == len(paths)
    assert np.array_equal(everything(again), good)
    assert "pixels.npy: is not what was sealed, and is made anew." in caplog.text
    assert opened(paths, folder).num_decoded == 0


def test_pixels_that_were_written_through_a_memory_map_are_decoded_anew(folder: Path, paths: list[Path]) -> None:
    good = everything(opened(paths, folder))
    np.load(pixels_file(folder), mmap_mode="r+")[0] += 1
    again = opened(paths, folder)
    assert again.num_decoded == len(paths)
    assert np.array_equal(everything(again), good)


def test_whoever_has_pixels_open_keeps_what_it_opened_while_others_decode_anew(folder: Path, paths: list[Path]) -> None:
    first = opened(paths, folder)
    path = pixels_file(folder)
    damaged = flipped(path.read_bytes())
    path.unlink()
    path.write_bytes(damaged)
    assert np.array_equal(everything(opened(paths, folder)), everything(first))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")], ids=["gone", "no JSON"])
def test_pixels_without_a_seal_are_decoded_anew(
    folder: Path, paths: list[Path], damage: Callable[[Path], object]
) -> None:
    good = everything(opened(paths, folder))
    damage(pixels_file(folder).with_name("seal.json"))
    again = opened(paths, folder)
    assert again.num_decoded == len(paths)
    assert np.array_equal(everything(again), good)


def test_a_cache_that_was_copied_to_another_disk_is_decoded_no_more(
    folder: Path, paths: list[Path], tmp_path: Path
) -> None:
    opened(paths, folder)
    shutil.copytree(folder, tmp_path / "other")
    for _ in range(2):
        assert opened(paths, tmp_path / "other").num_decoded == 0


def test_images_that_change_while_they_are_decoded_are_named_and_not_kept(folder: Path, paths: list[Path]) -> None:
    def decode_and_change(path: Path, *args: int, **options: Any) -> Pixels:
        pixels = decode_image(path, *args, **options)
        if path == paths[2]:
            cv2.imwrite(str(path), np.zeros((SIZE, SIZE, 3), dtype=np.uint8))
        return pixels

    message = rf"1 of 6 images changed while they were opened: {paths[2]}\. Run"
    with patch.object(layout, "decode_image", decode_and_change), pytest.raises(DataError, match=message):
        opened(paths, folder)
    assert not list_entries(folder)
    assert np.array_equal(everything(opened(paths, folder)), np.stack([decoded(path) for path in paths]))


def test_missing_files_are_named(folder: Path, paths: list[Path]) -> None:
    paths[1].unlink()
    with pytest.raises(DataError, match=rf"1 image cannot be read: {paths[1]}: cannot be read: No such file"):
        opened(paths, folder)


def test_files_that_do_not_decode_are_counted_and_the_first_are_named(folder: Path, paths: list[Path]) -> None:
    paths[1].write_bytes(b"")
    paths[4].write_bytes(b"text")
    with pytest.raises(DataError) as caught:
        opened(paths, folder)
    assert "images cannot be decoded: " in str(caught.value)
    assert "does not decode" in str(caught.value)
    assert "--skip-unreadable" in str(caught.value)
    assert not list(folder.glob("**/*.npy"))


def test_a_repaired_file_is_all_it_takes(folder: Path, paths: list[Path]) -> None:
    good = paths[1].read_bytes()
    paths[1].write_bytes(good[:20])
    with pytest.raises(DataError):
        opened(paths, folder)
    paths[1].write_bytes(good)
    assert opened(paths, folder).num_decoded == 6


def test_a_disk_that_fills_up_is_named_and_nothing_is_left(folder: Path, paths: list[Path]) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        patch("os.posix_fallocate", side_effect=full),
        pytest.raises(StoreError, match=r"cannot be written: No space left on device\. .*KAGGLE_RAY_CACHE"),
    ):
        opened(paths, folder)
    assert not list(folder.glob("**/*.npy"))
    assert not list_entries(folder)
    assert opened(paths, folder).num_decoded == 6


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path, paths: list[Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/cache: the image cache cannot be written: .*KAGGLE_RAY_CACHE"):
        opened(paths, tmp_path / "file/cache")


def test_the_folder_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", "/somewhere")
    assert default_cache_dir() == Path("/somewhere")
    monkeypatch.delenv("KAGGLE_RAY_CACHE")
    assert default_cache_dir().name == "kaggle_ray"


# No room ------------------------------------------------------------------------------------------------------------


def test_without_room_images_are_decoded_on_the_fly_to_the_same_pixels(
    folder: Path, paths: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    expected = everything(opened(paths, folder / "roomy"))
    images = opened(paths, folder, budget_bytes=0)
    assert images.pixels is None
    assert images.shape == (6, SIZE, SIZE, 3)
    assert images.num_decoded == 0
    assert np.array_equal(everything(images), expected)
    assert np.array_equal(images.read(np.array([3, 3])), expected[[3, 3]])
    assert images.num_decoded == 8
    assert not list(folder.glob("images/*/*"))
    (message,) = [record.getMessage() for record in caplog.records]
    assert "decoded anew each time" in message
    assert "KAGGLE_RAY_CACHE_GIB" in message


# Several processes --------------------------------------------------------------------------------------------------


def _slowly(path: Path, height: int, width: int, **options: object) -> Pixels:
    time.sleep(0.1)
    return decode_image(path, height, width, **options)  # type: ignore[arg-type]


def _count_decoded(paths: list[Path], folder: Path, counted: multiprocessing.Queue[int]) -> None:
    with patch.object(layout, "decode_image", _slowly):
        counted.put(opened(paths, folder).num_decoded)


def test_an_image_that_is_decoded_on_the_fly_may_be_touched_and_not_exchanged(folder: Path, paths: list[Path]) -> None:
    images = opened(paths, folder, budget_bytes=0)
    before = everything(images)
    paths[1].touch()
    assert np.array_equal(everything(images), before)
    status = paths[1].stat()
    shutil.copyfile(paths[0], paths[1])
    os.utime(paths[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=rf"{paths[1]}: is another image than when the run opened it"):
        everything(images)
    assert np.array_equal(images.read(np.array([0, 2])), before[[0, 2]])


def test_processes_that_build_at_once_decode_once_in_total(folder: Path, paths: list[Path]) -> None:
    counted: multiprocessing.Queue[int] = FORK.Queue()
    processes = [FORK.Process(target=_count_decoded, args=(paths, folder, counted)) for _ in range(3)]
    for process in processes:
        process.start()
    numbers = sorted(counted.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(timeout=60)
    assert numbers == [0, 0, 6]


def _hang_at_the_last(paths: list[Path], folder: Path, reached: Path) -> None:
    def decode(path: Path, height: int, width: int, **options: object) -> Pixels:
        if path == paths[5] and list(folder.glob("images/*/building-*")):
            reached.write_text("")
            time.sleep(600)
        return decode_image(path, height, width, **options)  # type: ignore[arg-type]

    with patch.object(layout, "decode_image", decode):
        opened(paths, folder)


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_a_killed_process_built_is_not_taken_for_whole_and_is_cleared_away(
    folder: Path, paths: list[Path], tmp_path: Path
) -> None:
    reached = tmp_path / "reached"
    process = FORK.Process(target=_hang_at_the_last, args=(paths, folder, reached))
    process.start()
    _wait_for(reached.exists)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=60)
    (half_done,) = list_entries(folder)
    assert not half_done.is_whole
    assert not half_done.is_in_use
    images = opened(paths, folder)
    assert images.num_decoded == 6
    assert np.array_equal(everything(images), np.stack([decoded(path) for path in paths]))
    assert sorted(file.name for file in folder.glob("images/*/*")) == ["pixels.npy", "seal.json"]
