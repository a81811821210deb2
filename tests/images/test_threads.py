from __future__ import annotations

import threading

import pytest

from kaggle_ray.images.threads import map_in_threads


@pytest.mark.parametrize("num_items", [0, 1, 2, 31, 1000])
def test_results_come_in_the_order_of_the_items(num_items: int) -> None:
    assert map_in_threads(lambda item: 2 * item, range(num_items)) == list(range(0, 2 * num_items, 2))


def test_the_first_exception_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda item: 1 / (item - 40), range(100))


def test_several_cores_work_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    barrier = threading.Barrier(2, timeout=10)
    assert map_in_threads(lambda _: barrier.wait() >= 0, range(2)) == [True, True]
