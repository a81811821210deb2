"""Diaries in blobs: what a killed driver loses, how many blobs there are, and who reads meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kaggle_ray.errors import StoreError
from kaggle_ray.reporters.jsonl import JsonlReporter, read_events
from kaggle_ray.store.diary import BlobDiary, FileDiary
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.testing.reporter_contract import check_reporter, every_kind_of_event


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path)


def diary_of(blobs: LocalBlobs, *, flush_every_s: float = 60.0) -> BlobDiary:
    return BlobDiary(blobs, "events", flush_every_s=flush_every_s)


def begun(diary: BlobDiary, is_readable: Callable[[bytes], bool] = lambda line: True) -> BlobDiary:
    diary.begin(is_readable=is_readable, aside="before-2")
    return diary


def write(blobs: LocalBlobs, *lines: bytes) -> None:
    diary = begun(diary_of(blobs))
    for line in lines:
        diary.append(line)
    diary.close()


def test_events_in_blobs_are_read_back_as_they_were(blobs: LocalBlobs) -> None:
    check_reporter(lambda: JsonlReporter(diary_of(blobs)))
    blobs.delete("events")
    reporter = JsonlReporter(diary_of(blobs))
    for event in every_kind_of_event():
        reporter.emit(event)
    reporter.close()
    reporter.close()
    assert read_events(diary_of(blobs)) == every_kind_of_event()


def test_nothing_was_written_yet(blobs: LocalBlobs, tmp_path: Path) -> None:
    for diary in (diary_of(blobs), FileDiary(tmp_path / "events.jsonl")):
        assert (diary.lines(), diary.written_at()) == ([], None)


def test_a_line_is_there_within_the_second_and_outlives_a_kill(blobs: LocalBlobs) -> None:
    diary = begun(diary_of(blobs, flush_every_s=0.05))
    for number in range(3):
        diary.append(b"%d" % number)
        for _ in range(200):
            if len(diary_of(blobs).lines()) == number + 1:
                break
            threading.Event().wait(0.05)
    assert diary_of(blobs).lines() == [b"0", b"1", b"2"]
    assert blobs.list("events/") == ["events/00000001.jsonl"], "few blobs, however often it is written"
    second = begun(diary_of(blobs))  # of the driver that follows the one that was killed
    second.append(b"3")
    second.close()
    assert diary_of(blobs).lines() == [b"0", b"1", b"2", b"3"]
    diary.close()


def test_a_long_diary_is_some_blobs_of_some_hundred_lines(blobs: LocalBlobs) -> None:
    lines = [b"%d" % number for number in range(450)]
    for start in range(0, 450, 150):
        write(blobs, *lines[start : start + 150])
    assert diary_of(blobs).lines() == lines
    assert len(blobs.list("events/")) == 3
    assert diary_of(blobs).written_at() == blobs.written_at("events/00000003.jsonl")


def test_whoever_writes_reads_what_it_has_yet_to_write_too(blobs: LocalBlobs) -> None:
    write(blobs, b"earlier")
    diary = begun(diary_of(blobs))
    lines = [b"%d" % number for number in range(250)]
    for line in lines[:220]:
        diary.append(line)
    assert diary.lines() == [b"earlier", *lines[:220]]
    assert diary_of(blobs).lines() == [b"earlier"], "nothing was written yet"
    diary.close()
    assert diary.lines() == diary_of(blobs).lines() == [b"earlier", *lines[:220]]


def test_while_blobs_cannot_be_written_lines_are_kept(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put, tries, refuses = blobs.put, threading.Semaphore(0), threading.Event()

    def refusing(key: str, data: bytes) -> None:
        tries.release()
        if refuses.is_set():
            raise StoreError("S3 is busy.")
        put(key, data)

    monkeypatch.setattr(blobs, "put", refusing)
    refuses.set()
    diary = begun(diary_of(blobs, flush_every_s=0.02))
    with caplog.at_level(logging.WARNING):
        diary.append(b"kept")
        for _ in range(3):
            assert tries.acquire(timeout=30)
    assert caplog.text.count("the diary cannot be written for now: S3 is busy.") == 1
    refuses.clear()
    diary.close()
    assert diary_of(blobs).lines() == [b"kept"]


def test_blobs_of_another_version_are_set_aside(blobs: LocalBlobs) -> None:
    write(blobs, b"old 1", b"old 2")
    diary = begun(diary_of(blobs), lambda line: not line.startswith(b"old"))
    diary.append(b"new")
    diary.close()
    assert diary_of(blobs).lines() == [b"new"]
    assert blobs.get("events-before-2/00000001.jsonl") == b"old 1\nold 2\n"
