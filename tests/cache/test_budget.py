"""The cache keeps to its limit, and takes nothing away from a process that uses it."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.cache.budget import budget_of, evict
from kaggle_ray.cache.entries import list_entries
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.cache import Images, open_images

SIZE = 16
ENTRY_BYTES = 2 * SIZE * SIZE * 3
"""Two images."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(folder: Path, number: int, budget_bytes: int | None = None) -> Images:
    """Return two images of their own kind for each number, last used in the order of the numbers."""
    source = folder.parent / str(number)
    source.mkdir(exist_ok=True)
    paths = [source / "a.png", source / "b.png"]
    for shade, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), 10 * number + shade, dtype=np.uint8))
    images = open_images(paths, height=SIZE, width=SIZE, cache_dir=folder, budget_bytes=budget_bytes)
    if images.pixels is not None:
        assert images.held is not None
        os.utime(images.held.folder.with_suffix(".json"), (number * 1000.0, number * 1000.0))
    return images


def close(*images: Images) -> None:
    for each in images:
        assert each.held is not None
        each.held.close()


def sources(folder: Path) -> list[str]:
    return [Path(entry.description.source).name for entry in list_entries(folder)]


def test_entries_tell_what_they_are(folder: Path) -> None:
    images = opened(folder, 1)
    (entry,) = list_entries(folder)
    assert (entry.description.num_files, entry.description.sides) == (2, (SIZE, SIZE))
    assert (entry.description.content, entry.num_bytes) == ("image", ENTRY_BYTES)
    assert entry.is_in_use
    assert entry.is_whole
    close(images)
    assert not list_entries(folder)[0].is_in_use


def test_the_least_recently_used_go_first(folder: Path) -> None:
    close(*(opened(folder, number) for number in (1, 2, 3)))
    assert sources(folder) == ["1", "2", "3"]
    removed = evict(folder, 2 * ENTRY_BYTES)
    assert [Path(entry.description.source).name for entry in removed] == ["1"]
    assert sources(folder) == ["2", "3"]


def test_what_is_in_use_stays(folder: Path) -> None:
    used = opened(folder, 1)
    close(opened(folder, 2))
    assert [Path(entry.description.source).name for entry in evict(folder, 0)] == ["2"]
    assert sources(folder) == ["1"]
    assert used.read(np.array([1])).max() == 11
    close(used)
    evict(folder, 0)
    assert not sources(folder)
    assert not list(folder.glob("images/*")), "nor its locks"


def test_a_new_entry_makes_room_for_itself(folder: Path) -> None:
    for number in (1, 2, 3):
        close(opened(folder, number, 2 * ENTRY_BYTES + 500))
    assert sources(folder) == ["2", "3"]


def test_a_new_entry_that_finds_no_room_is_decoded_on_the_fly(folder: Path) -> None:
    used = [opened(folder, number, 2 * ENTRY_BYTES + 500) for number in (1, 2)]
    third = opened(folder, 3, 2 * ENTRY_BYTES + 500)
    assert third.pixels is None
    assert third.read(np.array([0])).max() == 30
    assert sources(folder) == ["1", "2"]
    close(*used)


def test_the_limit_is_the_one_that_the_environment_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    monkeypatch.setenv("KAGGLE_RAY_CACHE_GIB", "1.5")
    assert budget_of(folder) == 1.5 * 2**30
    monkeypatch.delenv("KAGGLE_RAY_CACHE_GIB")
    assert 0 < budget_of(folder) <= 50 * 2**30
    monkeypatch.setenv("KAGGLE_RAY_CACHE_GIB", "much")
    with pytest.raises(ConfigError, match=r"KAGGLE_RAY_CACHE_GIB: expected a number of GiB, such as 20, got 'much'"):
        budget_of(folder)
