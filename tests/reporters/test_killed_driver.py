"""A driver that is killed while a service takes what it delivers, and the next one."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from threading import Event

import pytest

from kaggle_ray.reporters.codec import envelope_to_json
from kaggle_ray.reporters.jsonl import DiaryHistory
from kaggle_ray.store.delivered import StoredCursor
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.http_service import EVENTS, HttpSink, Stored, drive, http_service


@pytest.mark.parametrize("is_stored", [True, False])
def test_what_a_driver_was_killed_in_the_midst_of_delivering_the_next_one_delivers_and_nothing_is_missing_or_double(
    is_stored: bool, tmp_path: Path
) -> None:
    def kills_with_the_third(number: int, stored: Stored, brought: Stored) -> None:
        if number != 3 or is_stored:
            stored.update(brought)
        if number == 3:  # it never learns whether what it sent was taken
            first.kill()
            is_dead.wait(240)

    is_dead = Event()
    with http_service(kills_with_the_third) as (url, stored):
        first = multiprocessing.get_context("spawn").Process(
            target=drive, args=(tmp_path, url), kwargs={"every_s": 0.03}
        )
        first.start()
        first.join(240)
        is_dead.set()
        assert first.exitcode == -9
        history = DiaryHistory(open_run(tmp_path).diary)
        assert 0 < StoredCursor(open_run(tmp_path).blobs, HttpSink.name).load() < len(history) < len(EVENTS)
        drive(tmp_path, url, every_s=0.0)
        assert list(stored.values()) == [envelope_to_json(each) for each in EVENTS]
        assert StoredCursor(open_run(tmp_path).blobs, HttpSink.name).load() == len(EVENTS)
