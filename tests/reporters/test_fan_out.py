from __future__ import annotations

import logging

import pytest

from kaggle_ray.reporters import FanOut
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.reporter_contract import check_reporter, every_kind_of_event
from kaggle_ray.types import Event


class Broken(Recorder):
    def emit(self, event: Event) -> None:
        super().emit(event)
        raise ConnectionError("server is gone")

    def close(self) -> None:
        super().close()
        raise TimeoutError("server does not answer")


def test_every_reporter_gets_every_event_in_order() -> None:
    recorders = [Recorder(), Recorder()]
    fan_out = FanOut(recorders)
    for event in every_kind_of_event():
        fan_out.emit(event)
    assert [recorder.events for recorder in recorders] == [every_kind_of_event()] * 2


def test_reporter_that_raises_costs_one_warning_and_gets_no_more_events(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Broken(), Recorder()
    fan_out = FanOut([broken, sound])
    with caplog.at_level(logging.WARNING):
        for event in every_kind_of_event():
            fan_out.emit(event)
    assert len(broken.events) == 1
    assert len(sound.events) == len(every_kind_of_event())
    (record,) = caplog.records
    assert record.name == "kaggle_ray.reporters"
    assert "Broken" in record.getMessage()
    assert "ConnectionError: server is gone" in record.getMessage()


def test_failed_reporter_is_closed_and_may_fail_at_that_too(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Broken(), Recorder()
    fan_out = FanOut([broken, sound])
    fan_out.emit(every_kind_of_event()[0])
    caplog.clear()
    fan_out.close()
    assert (broken.num_closed, sound.num_closed) == (1, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "TimeoutError: server does not answer" in caplog.text


def test_interrupt_of_the_user_passes_through() -> None:
    class Interrupted(Recorder):
        def emit(self, event: Event) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FanOut([Interrupted()]).emit(every_kind_of_event()[0])


def test_fan_out_fulfils_the_contract_with_nobody_listening() -> None:
    check_reporter(lambda: FanOut([]))


def test_fan_out_fulfils_the_contract_with_a_broken_reporter() -> None:
    check_reporter(lambda: FanOut([Broken()]))
