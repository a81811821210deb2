from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.cache import entries
from kaggle_ray.data.staging import stage_data
from kaggle_ray.images.cache import open_images
from kaggle_ray.images.threads import map_in_threads
from kaggle_ray.progress import Counter, Progress, each_counted, progress_told_to, throttled


def test_each_item_is_counted_from_none_to_all() -> None:
    told: list[Progress] = []
    with progress_told_to(told.append):
        assert list(each_counted("decoding images", "ab", num_total=2)) == ["a", "b"]
    assert [(each.stage, each.num_done, each.num_total) for each in told] == [
        ("decoding images", number, 2) for number in range(3)
    ]


def test_outside_of_the_context_nobody_is_told() -> None:
    told: list[Progress] = []
    with progress_told_to(told.append):
        pass
    Counter("reading files", 1).add(1)
    assert not told


@pytest.mark.parametrize("num_items", [0, 1, 5, 200])
def test_work_in_threads_is_counted_in_the_thread_that_waits_for_it(num_items: int) -> None:
    told: list[Progress] = []
    with progress_told_to(told.append):
        assert map_in_threads(lambda item: -item, range(num_items), stage="reading files") == [
            -item for item in range(num_items)
        ]
    assert [each.num_done for each in told] == list(range(num_items + 1))


def test_decoding_is_told_where_an_image_is_decoded_and_not_where_the_cache_has_it(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((4, 4, 3), number, dtype=np.uint8))
    told: list[Progress] = []
    with progress_told_to(told.append):
        open_images(paths, height=4, width=4, cache_dir=tmp_path / "cache")
    assert {each.stage for each in told} == {"reading files", "decoding images"}
    assert (told[-1].num_done, told[-1].num_total) == (5, 5)
    told.clear()
    with progress_told_to(told.append):
        open_images(paths, height=4, width=4, cache_dir=tmp_path / "cache")
    assert not told


def test_staging_is_told_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    for name in "abc":
        (tmp_path / "shared" / name).write_text(name)
    told: list[Progress] = []
    with progress_told_to(told.append):
        stage_data((tmp_path / "shared").as_uri(), cache_dir=tmp_path / "cache")
    assert [(each.stage, each.num_done, each.num_total) for each in told] == [
        ("staging files", number, 3) for number in range(4)
    ]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told_of(num_items: int, *, seconds_each: float) -> list[int]:
    """Return the counts that are passed on of a stage."""
    clock, told = Clock(), list[Progress]()
    listen = throttled(told.append, clock=clock)
    for number in range(num_items + 1):
        listen(Progress(stage="decoding images", num_done=number, num_total=num_items))
        clock.now += seconds_each
    return [progress.num_done for progress in told]


def test_a_stage_of_less_than_a_second_says_nothing() -> None:
    assert told_of(3, seconds_each=0.3) == []


def test_a_long_stage_says_one_word_a_second_and_its_last_one() -> None:
    assert told_of(10, seconds_each=0.4) == [3, 6, 9, 10]


def test_each_stage_has_its_own_first_second() -> None:
    clock, told = Clock(), list[Progress]()
    listen = throttled(told.append, clock=clock)
    for stage in ("reading files", "decoding images"):
        for number in range(3):
            listen(Progress(stage=stage, num_done=number, num_total=2))
            clock.now += 0.4
    assert told == []


def test_short_stages_in_a_row_say_something_once_a_minute() -> None:
    clock, told = Clock(), list[Progress]()
    listen = throttled(told.append, every_s=10.0, clock=clock)
    for _ in range(70):
        for number in range(3):
            listen(Progress(stage="predicting", num_done=number, num_total=2))
            clock.now += 0.5
    assert [progress.num_done for progress in told] == [0, 2], "of the one stage that was told of"


def test_work_of_unknown_length_is_over_when_it_says_so() -> None:
    told: list[Progress] = []
    with progress_told_to(told.append):
        counter = Counter("combining predictions", 0)
        counter.add(3)
        counter.end()
    assert [(each.num_done, each.num_total) for each in told] == [(0, 0), (3, 0), (3, 3)]


def test_who_waits_for_another_process_to_fill_an_entry_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "_TELL_EVERY_S", 0.01)
    told: list[Progress] = []
    with entries.EntryUse(tmp_path, "images", "a" * 16).filling() as is_filling:
        assert is_filling
        use = entries.EntryUse(tmp_path, "images", "a" * 16)
        with use.filling(waits=False) as is_held:
            assert not is_held
        waiting = threading.Thread(target=_wait_to_fill, args=(use, told))
        waiting.start()
        while not told:
            time.sleep(0.01)
    waiting.join(timeout=60)
    assert {each.stage for each in told} == {"waiting for another process"}
    assert told[-1].num_done == told[-1].num_total


def _wait_to_fill(use: entries.EntryUse, told: list[Progress]) -> None:
    with progress_told_to(told.append), use.filling() as is_held:
        assert is_held
