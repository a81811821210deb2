from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from kaggle_ray.errors import SchemaVersionError, StoreError
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import BaselineScored, RefitEnded
from kaggle_ray.reporters.jsonl import DiaryHistory, JsonlReporter, read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.testing.reporter_contract import addressed, check_reporter, every_kind_of_event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "events.jsonl"


def write(path: Path, events: list[Envelope]) -> None:
    reporter = JsonlReporter(FileDiary(path))
    for event in events:
        reporter.emit(event)
    reporter.close()


def test_jsonl_reporter_fulfils_the_contract(path: Path) -> None:
    check_reporter(lambda: JsonlReporter(FileDiary(path)))
    assert read_events(FileDiary(path))


def test_events_are_read_back_as_they_were(path: Path) -> None:
    write(path, every_kind_of_event())
    assert read_events(FileDiary(path)) == every_kind_of_event()


def test_event_is_in_the_file_before_the_reporter_is_closed(path: Path) -> None:
    reporter = JsonlReporter(FileDiary(path))
    reporter.emit(every_kind_of_event()[0])
    assert read_events(FileDiary(path)) == every_kind_of_event()[:1]
    reporter.close()


def test_second_driver_adds_to_the_file(path: Path) -> None:
    events = every_kind_of_event()
    write(path, events[:3])
    write(path, events[3:])
    assert read_events(FileDiary(path)) == events


def test_event_that_happened_again_is_kept_once_as_it_was_last(path: Path) -> None:
    first, second, *_ = every_kind_of_event()
    again = dataclasses.replace(first, time=first.time + 500)
    write(path, [first, second])
    write(path, [again])
    assert read_events(FileDiary(path)) == [second, again]


def test_crash_at_any_byte_loses_no_whole_line_and_no_later_event(path: Path) -> None:
    first, second, third, *_ = every_kind_of_event()
    write(path, [first])
    num_bytes_of_first = path.stat().st_size
    write(path, [second])
    whole = path.read_bytes()
    for num_bytes in range(num_bytes_of_first, len(whole) + 1):
        path.write_bytes(whole[:num_bytes])
        survivors = [first, second] if num_bytes == len(whole) else [first]
        assert read_events(FileDiary(path)) == survivors
        write(path, [third])
        assert read_events(FileDiary(path)) == [*survivors, third]


def test_file_torn_in_its_first_line_begins_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"schema_ver')
    assert read_events(FileDiary(path)) == []
    write(path, every_kind_of_event()[:1])
    assert read_events(FileDiary(path)) == every_kind_of_event()[:1]


def test_name_may_hold_any_character_of_a_line_end(path: Path) -> None:
    event = RefitEnded(submission=None, cross_validated_score=0.5, why_not="a\nb\r\u2028c é \udce9")
    write(path, [addressed(event, time=1.0)])
    assert read_events(FileDiary(path)) == [addressed(event, time=1.0)]


def test_damaged_line_in_the_middle_is_an_error_that_names_it(path: Path) -> None:
    write(path, every_kind_of_event()[:2])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"nonsense\n", lines[1]]))
    with pytest.raises(StoreError, match=r"events\.jsonl, line 2: expected a JSON object, got b'nonsense'"):
        read_events(FileDiary(path))


def test_line_of_another_schema_is_refused_by_name(path: Path) -> None:
    write(path, every_kind_of_event()[:1])
    path.write_bytes(path.read_bytes().replace(b'"schema_version": 2', b'"schema_version": 9'))
    with pytest.raises(SchemaVersionError, match=r"line 1: .*expected schema_version 2, got 9"):
        read_events(FileDiary(path))


def test_two_runs_in_one_file_keep_their_events_apart(path: Path) -> None:
    first = every_kind_of_event()
    second = [dataclasses.replace(envelope, run_id="run-2") for envelope in first]
    write(path, [*first, *second])
    assert read_events(FileDiary(path)) == [*first, *second]


def test_a_file_of_another_schema_is_set_aside_so_that_both_can_be_read(path: Path) -> None:
    older = b'{"schema_version": 1, "event_id": "run:run_started:0:0"}\n'
    path.parent.mkdir()
    path.write_bytes(older)
    event = addressed(BaselineScored(score=0.5, submission=None), time=1.0)
    write(path, [event])
    assert read_events(FileDiary(path)) == [event]
    assert path.with_name("events-before-2.jsonl").read_bytes() == older


def test_line_written_in_part_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk:
        def write(self, line: bytes) -> int:
            return len(line) - 1

    diary = FileDiary(path)
    reporter = JsonlReporter(diary)
    monkeypatch.setattr(diary, "_file", FullDisk())
    with pytest.raises(OSError, match="Is the disk full"):
        reporter.emit(every_kind_of_event()[0])


def test_a_diary_that_is_a_link_is_not_written_through(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "outside").write_bytes(b"precious, and no line end")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="symbolic link"):
        JsonlReporter(FileDiary(path))
    assert (tmp_path / "outside").read_bytes() == b"precious, and no line end"


@pytest.mark.timeout(20)
def test_a_diary_that_is_no_file_is_refused_at_once(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="no regular file"):
        JsonlReporter(FileDiary(path))
    with pytest.raises(StoreError, match="no regular file"):
        read_events(FileDiary(path))


def test_a_torn_line_that_is_longer_than_a_block_is_cut_off(path: Path) -> None:
    event = every_kind_of_event()[0]
    write(path, [event])
    with path.open("ab") as file:
        file.write(b"x" * 200_000)
    write(path, [event])
    assert read_events(FileDiary(path)) == [event]


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"time": NaN}', b"\xff", b'"text"', b"null"])
def test_a_line_that_is_no_event_is_an_error_that_names_it(path: Path, line: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(line + b"\n")
    with pytest.raises(StoreError, match="line 1"):
        read_events(FileDiary(path))


def test_a_history_has_the_numbers_of_lines_and_leaves_out_what_is_no_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    diary = FileDiary(tmp_path / "events.jsonl")
    story = every_kind_of_event()[:3]
    reporter = JsonlReporter(diary)
    for envelope in story[:2]:
        reporter.emit(envelope)
    diary.append(b'{"not": "an event"}')
    reporter.emit(story[2])
    history = DiaryHistory(diary)
    assert len(history) == 4
    for _ in range(2):
        assert list(history.since(1)) == [(2, story[1]), (4, story[2])]
    assert list(history.since(4)) == []
    (warning,) = caplog.records
    assert "a line of the run's diary is not delivered" in warning.getMessage()
    assert "events.jsonl, line 3" in warning.getMessage()
    reporter.close()
