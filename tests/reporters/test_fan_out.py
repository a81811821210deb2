from __future__ import annotations

import getpass
import logging
import os

import pytest

import kaggle_ray.reporters
from kaggle_ray.reporters import FanOut, Reporter
from kaggle_ray.reporters.envelope import Envelope, this_host, this_user
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.reporter_contract import every_kind_of_event


class Broken(Recorder):
    def emit(self, envelope: Envelope) -> None:
        super().emit(envelope)
        raise ConnectionError("server is gone")

    def close(self) -> None:
        super().close()
        raise TimeoutError("server does not answer")


EVENTS = [envelope.event for envelope in every_kind_of_event()]


def fan_out_to(*reporters: Reporter) -> FanOut:
    return FanOut(reporters, competition="toy", run_id="run-1")


def test_every_reporter_gets_every_event_in_order() -> None:
    recorders = [Recorder(), Recorder()]
    fan_out = fan_out_to(*recorders)
    for event in EVENTS:
        fan_out.emit(event)
    assert [recorder.events for recorder in recorders] == [EVENTS] * 2


def test_the_envelope_says_of_which_run_an_event_is_and_when_where_and_under_whose_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kaggle_ray.reporters, "now", lambda: 123.0)
    recorder = Recorder()
    fan_out_to(recorder).emit(EVENTS[0])
    assert recorder.envelopes == [
        Envelope(event=EVENTS[0], competition="toy", run_id="run-1", host=this_host(), user=this_user(), time=123.0)
    ]


def test_a_user_whom_the_machine_cannot_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnamed() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", unnamed)
    assert this_user.__wrapped__() == str(os.getuid())


def test_reporter_that_raises_costs_one_warning_and_gets_no_more_events(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Broken(), Recorder()
    fan_out = fan_out_to(broken, sound)
    with caplog.at_level(logging.WARNING):
        for event in EVENTS:
            fan_out.emit(event)
    assert len(broken.envelopes) == 1
    assert len(sound.envelopes) == len(EVENTS)
    (record,) = caplog.records
    assert record.name == "kaggle_ray.reporters"
    assert "Broken" in record.getMessage()
    assert "ConnectionError: server is gone" in record.getMessage()


def test_failed_reporter_is_closed_and_may_fail_at_that_too(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Broken(), Recorder()
    fan_out = fan_out_to(broken, sound)
    fan_out.emit(EVENTS[0])
    caplog.clear()
    fan_out.close()
    assert (broken.num_closed, sound.num_closed) == (1, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "TimeoutError: server does not answer" in caplog.text


def test_interrupt_of_the_user_passes_through() -> None:
    class Interrupted(Recorder):
        def emit(self, envelope: Envelope) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fan_out_to(Interrupted()).emit(EVENTS[0])


def test_nobody_has_to_listen() -> None:
    fan_out = fan_out_to()
    for event in EVENTS:
        fan_out.emit(event)
    fan_out.close()
    fan_out.close()


def test_a_run_that_gets_its_name_is_told_by_it_to_its_diary_too() -> None:
    recorder, diary = Recorder(), Recorder()
    fan_out = FanOut([recorder])
    fan_out.emit(EVENTS[0])
    fan_out.name_run(competition="toy", run_id="run-1", first=[diary])
    fan_out.emit(EVENTS[1])
    fan_out.close()
    assert [(told.competition, told.run_id) for told in recorder.envelopes] == [("", ""), ("toy", "run-1")]
    assert diary.envelopes == recorder.envelopes[1:]
    assert diary.num_closed == 1
    assert recorder.envelopes[0].event_id.startswith(f"{this_host()}:run:")
