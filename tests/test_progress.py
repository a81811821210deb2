from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.data.staging import stage_data
from kaggle_ray.images.cache import open_images
from kaggle_ray.images.threads import map_in_threads
from kaggle_ray.progress import Counter, Progress, counted, progress_told_to


def test_each_item_is_counted_from_none_to_all() -> None:
    told: list[Progress] = []
    with progress_told_to(told.append):
        assert list(counted("decoding images", "ab", num_total=2)) == ["a", "b"]
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
