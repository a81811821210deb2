"""What is done about a process that hangs as it starts; that Ray then gives it up is shown in test_ray_train.py."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from kaggle_ray.launch.ray_start_limit import SlotStartLimit, start_limit_s
from kaggle_ray.launch.watchdog import VARIABLE

pytestmark = pytest.mark.ray


def test_a_process_may_take_five_times_as_long_to_start_as_a_batch_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert start_limit_s() == 300
    monkeypatch.setenv(VARIABLE, "2")
    assert start_limit_s() == 10


def test_a_slot_is_killed_once_where_its_start_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[str] = []
    starting: list[str] = []
    now = 0.0
    monkeypatch.setattr("ray.kill", killed.append)
    monkeypatch.setattr("time.monotonic", lambda: now)
    limit = SlotStartLimit(lambda: starting, 10)
    for now, actors, expected in (
        (0.0, ["first"], []),
        (9.0, ["first", "second"], []),
        (10.0, ["first", "second"], ["first"]),
        (11.0, ["first", "second"], ["first"]),
        (20.0, [], ["first"]),
    ):
        starting[:] = actors
        limit.on_step_begin(0, [])
        assert killed == expected, now


def test_the_workers_of_a_group_are_removed_where_its_start_takes_too_long_and_only_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

    from kaggle_ray.launch.ray_group_start import GroupStartLimit

    removed: list[str] = []
    is_removed = threading.Event()

    def remove(actor_id: str) -> None:
        removed.append(actor_id)
        is_removed.set()

    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(get_actor_id=lambda: "controller"))
    monkeypatch.setattr("kaggle_ray.launch.ray_group_start.remove_groups_of", remove)
    with GroupStartLimit(60).on_worker_group_start():
        pass
    with pytest.raises(ValueError, match="its own"), GroupStartLimit(60).on_worker_group_start():
        raise ValueError("its own")
    assert removed == []

    def wait_for_workers() -> None:
        with GroupStartLimit(0.01).on_worker_group_start():
            assert is_removed.wait(60)
            raise ConnectionError("what Ray says where they are gone")

    with pytest.raises(WorkerGroupStartupFailedError, match=r"workers did not start within 0\.01 s"):
        wait_for_workers()
    assert removed == ["controller"]
