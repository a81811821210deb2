"""Copies and decoded images under one budget: what is used stays, what is half done is seen, and no removal is half."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from kaggle_ray.cache.budget import evict, reserve
from kaggle_ray.cache.entries import CacheEntry, Description, EntryUse, list_entries
from kaggle_ray.data.staging import SharedFolder, StagedData, stage_data
from kaggle_ray.data.staging_source import RemoteFile
from kaggle_ray.errors import NoRoomError
from kaggle_ray.images.cache import Images, open_images

SIZE = 16
IMAGES_BYTES = 2 * SIZE * SIZE * 3
FILE_BYTES = 1000
COPY_BYTES = 3 * FILE_BYTES
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def share(folder: Path, name: str) -> str:
    """Return the URI of three files on a disk that machines share."""
    shared = folder.parent / name
    shared.mkdir(exist_ok=True)
    for number in range(3):
        (shared / f"{number}.bin").write_bytes(name[:1].encode() * FILE_BYTES)
    return shared.as_uri()


def staged(folder: Path, name: str, *, used: float | None = None, budget_bytes: int | None = None) -> StagedData:
    copy = stage_data(share(folder, name), cache_dir=folder, budget_bytes=budget_bytes)
    assert copy.held is not None
    if used is not None:
        os.utime(copy.held.folder.with_suffix(".json"), (used, used))
    return copy


def write_images(folder: Path, shade: int) -> list[Path]:
    source = folder.parent / f"images{shade}"
    source.mkdir(exist_ok=True)
    paths = [source / "a.png", source / "b.png"]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), shade + number, dtype=np.uint8))
    return paths


def opened(folder: Path, shade: int, *, used: float | None = None, budget_bytes: int | None = None) -> Images:
    paths = write_images(folder, shade)
    images = open_images(paths, height=SIZE, width=SIZE, cache_dir=folder, budget_bytes=budget_bytes)
    if used is not None:
        assert images.held is not None
        os.utime(images.held.folder.with_suffix(".json"), (used, used))
    return images


def close(*used: Images | StagedData) -> None:
    for each in used:
        assert each.held is not None
        each.held.close()


def names(folder: Path) -> list[str]:
    return [Path(entry.description.source).name for entry in list_entries(folder)]


def only_entry(folder: Path) -> CacheEntry:
    (entry,) = list_entries(folder)
    return entry


# One budget ---------------------------------------------------------------------------------------------------------


def test_a_copy_tells_what_it_is(folder: Path) -> None:
    copy = staged(folder, "pets")
    entry = only_entry(folder)
    assert entry.description.source == (folder.parent / "pets").as_uri()
    assert (entry.description.content, entry.description.num_files, entry.num_bytes) == ("files", 3, COPY_BYTES)
    assert entry.is_whole
    assert entry.is_in_use
    close(copy)
    assert not only_entry(folder).is_in_use


def test_the_least_recently_used_go_first_copies_and_decoded_images_alike(folder: Path) -> None:
    close(
        opened(folder, 10, used=1), staged(folder, "a", used=2), opened(folder, 20, used=3), staged(folder, "b", used=4)
    )
    assert names(folder) == ["images10", "a", "images20", "b"]
    removed = evict(folder, IMAGES_BYTES + COPY_BYTES)
    assert [entry.num_bytes for entry in removed] == [IMAGES_BYTES, COPY_BYTES]
    assert names(folder) == ["images20", "b"]


def test_a_copy_makes_room_for_itself_before_anything_is_copied(folder: Path) -> None:
    close(opened(folder, 10, used=1), opened(folder, 20, used=2))
    seen: list[list[str]] = []
    fetch = SharedFolder.fetch

    def fetch_and_look(source: SharedFolder, file: RemoteFile, path: Path) -> None:
        seen.append(names(folder))
        fetch(source, file, path)

    with patch.object(SharedFolder, "fetch", fetch_and_look):
        close(staged(folder, "a", budget_bytes=COPY_BYTES + IMAGES_BYTES))
    assert seen == [["images20", "a"]] * 3


def test_decoded_images_take_the_room_of_a_copy_that_nobody_uses(folder: Path) -> None:
    close(staged(folder, "a", used=1))
    assert opened(folder, 10, budget_bytes=COPY_BYTES).pixels is not None
    assert names(folder) == ["images10"]


def test_a_copy_that_is_used_stays_and_images_are_decoded_on_the_fly(folder: Path) -> None:
    copy = staged(folder, "a", used=1)
    assert opened(folder, 10, budget_bytes=COPY_BYTES).pixels is None
    assert evict(folder, 0) == []
    assert len(list(copy.folder.iterdir())) == 3


def test_nothing_goes_where_all_that_is_unused_would_not_be_enough(folder: Path) -> None:
    close(opened(folder, 10))
    used = opened(folder, 20)
    budget = 2 * IMAGES_BYTES + 100
    with pytest.raises(NoRoomError, match=r"/a: needs 0\.0 MiB of the cache .* in use\. KAGGLE_RAY_CACHE_GIB sets"):
        staged(folder, "a", budget_bytes=budget)
    assert sorted(names(folder)) == ["images10", "images20"]
    close(used)


def test_a_copy_that_grows_makes_room_and_counts_itself_once(folder: Path) -> None:
    close(opened(folder, 10, used=1), staged(folder, "a"))
    (folder.parent / "a/more.bin").write_bytes(b"m" * FILE_BYTES)
    close(staged(folder, "a", budget_bytes=COPY_BYTES + FILE_BYTES))
    assert only_entry(folder).num_bytes == COPY_BYTES + FILE_BYTES


def test_two_that_come_at_once_do_not_take_the_same_room(folder: Path) -> None:
    budget = IMAGES_BYTES + 100
    answers: multiprocessing.Queue[bool] = FORK.Queue()
    done = FORK.Event()

    def take(shade: int) -> None:
        images = opened(folder, shade, budget_bytes=budget)
        answers.put(images.pixels is not None)
        done.wait(60)

    processes = [FORK.Process(target=take, args=(shade,), daemon=True) for shade in (10, 20)]
    for process in processes:
        process.start()
    assert sorted(answers.get(timeout=60) for _ in processes) == [False, True]
    done.set()
    for process in processes:
        process.join(60)


# Half done ----------------------------------------------------------------------------------------------------------


def cut_short(folder: Path, name: str) -> None:
    with patch.object(SharedFolder, "fetch", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        staged(folder, name)


def test_a_copy_that_was_cut_short_is_seen_and_goes_like_any_other(folder: Path) -> None:
    cut_short(folder, "a")
    assert not only_entry(folder).is_whole
    assert not only_entry(folder).is_in_use
    assert len(evict(folder, 0)) == 1
    assert not list(folder.glob("data/*"))


def copy_slowly(uri: str, folder: Path, begun: Event, go_on: Event) -> None:
    fetch = SharedFolder.fetch

    def slowly(source: SharedFolder, file: RemoteFile, path: Path) -> None:
        begun.set()
        assert go_on.wait(60)
        fetch(source, file, path)

    with patch.object(SharedFolder, "fetch", slowly):
        stage_data(uri, cache_dir=folder)


def test_a_copy_that_somebody_works_on_stays_and_so_does_one_that_somebody_waits_for(folder: Path) -> None:
    uri, begun, go_on = share(folder, "a"), FORK.Event(), FORK.Event()
    worker = FORK.Process(target=copy_slowly, args=(uri, folder, begun, go_on))
    worker.start()
    assert begun.wait(60)
    waiter = FORK.Process(target=copy_slowly, args=(uri, folder, FORK.Event(), FORK.Event()))  # it must not copy
    waiter.start()
    assert not only_entry(folder).is_whole
    assert evict(folder, 0) == []
    go_on.set()
    for process in (worker, waiter):
        process.join(60)
        assert process.exitcode == 0
    assert only_entry(folder).is_whole


def test_what_came_to_nothing_leaves_no_locks_behind(folder: Path) -> None:
    EntryUse(folder, "data", "nothing").close()
    assert list(folder.glob("data/*"))
    evict(folder, 0)
    assert not list(folder.glob("data/*"))


def test_an_entry_that_another_version_described_goes_when_room_is_made(folder: Path) -> None:
    copy = staged(folder, "a")
    assert copy.held is not None
    copy.held.folder.with_suffix(".json").write_text(json.dumps({"unknown": 1, "sides": None}))
    close(copy)
    evict(folder, 0)
    assert not list(folder.glob("data/*"))


# Removals -----------------------------------------------------------------------------------------------------------


def test_a_removal_cut_short_is_seen_and_repeated(folder: Path) -> None:
    close(staged(folder, "a"))

    def cut(path: Path) -> None:
        (path / "files/0.bin").unlink()
        raise KeyboardInterrupt

    with patch.object(shutil, "rmtree", cut), pytest.raises(KeyboardInterrupt):
        evict(folder, 0)
    assert not only_entry(folder).is_whole
    assert len(evict(folder, 0)) == 1
    assert not list(folder.glob("data/*"))


def test_a_copy_whose_removal_was_cut_short_is_made_whole_by_whoever_asks_for_it(folder: Path) -> None:
    close(staged(folder, "a"))
    with patch.object(shutil, "rmtree", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        evict(folder, 0)
    with patch.object(shutil, "rmtree", side_effect=OSError("busy")):
        assert evict(folder, 0) == [], "what cannot be removed is not said to be gone"
    copy = staged(folder, "a")
    assert sorted(file.name for file in copy.folder.iterdir()) == ["0.bin", "1.bin", "2.bin"]
    assert only_entry(folder).is_whole


def test_who_asks_for_a_copy_while_it_is_removed_waits_and_gets_a_whole_one(folder: Path) -> None:
    close(staged(folder, "a"))
    begun, go_on, asks = FORK.Event(), FORK.Event(), FORK.Event()

    def remove_slowly() -> None:
        rmtree = shutil.rmtree

        def slowly(path: Path) -> None:
            begun.set()
            assert go_on.wait(60)
            rmtree(path)

        with patch.object(shutil, "rmtree", slowly):
            evict(folder, 0)

    def ask() -> None:
        asks.set()
        copy = staged(folder, "a")
        assert len(list(copy.folder.iterdir())) == 3
        assert only_entry(folder).is_whole
        assert evict(folder, 0) == [], "it is held under the lock that others see"

    remover, asker = FORK.Process(target=remove_slowly), FORK.Process(target=ask)
    remover.start()
    assert begun.wait(60)
    asker.start()
    assert asks.wait(60)
    time.sleep(0.2)  # it waits for the lock
    go_on.set()
    for process in (remover, asker):
        process.join(60)
        assert process.exitcode == 0
    assert only_entry(folder).is_whole


@pytest.mark.slow
def test_whoever_opens_while_others_evict_reads_the_right_pixels(folder: Path) -> None:
    shades = (10, 20, 30)
    paths = {shade: write_images(folder, shade) for shade in shades}
    done = FORK.Event()

    def open_again_and_again(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not done.is_set():
            shade = int(rng.choice(shades))
            images = open_images(paths[shade], height=SIZE, width=SIZE, cache_dir=folder, budget_bytes=2 * IMAGES_BYTES)
            assert images.read(np.arange(2))[:, 0, 0, 0].tolist() == [shade, shade + 1]
            del images
            time.sleep(0.1)  # unused for a moment, and whoever polls for a lock gets a turn

    processes = [FORK.Process(target=open_again_and_again, args=(seed,), daemon=True) for seed in range(3)]
    for process in processes:
        process.start()
    num_removed, ends = 0, time.monotonic() + 60
    while num_removed < 10 and time.monotonic() < ends:
        num_removed += len(evict(folder, 0))
        time.sleep(0.01)
    done.set()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert num_removed >= 10


def test_room_is_counted_anew_where_what_was_unused_is_used_by_now(folder: Path) -> None:
    close(opened(folder, 10))
    (entry,) = list_entries(folder)
    use = EntryUse(folder, "data", "new")
    description = Description(source="x", content="files", num_files=1, num_bytes=100, last_file="y")
    with (
        patch("kaggle_ray.cache.budget.remove_entry", return_value=False),
        pytest.raises(NoRoomError, match="x: needs"),
    ):
        reserve(use, description, budget_bytes=IMAGES_BYTES)
    assert entry.is_whole
    use.close()
