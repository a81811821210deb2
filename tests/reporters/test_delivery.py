from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from kaggle_ray.reporters.backlog import Numbered, deliver_backlog
from kaggle_ray.reporters.delivery import Delivery
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.testing.fake_service import FakeService
from kaggle_ray.testing.reporter_contract import addressed, check_reporter
from kaggle_ray.testing.sink_contract import check_sink


class Written:
    """A history in memory."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.num_read = 0

    def __len__(self) -> int:
        return len(self.envelopes)

    def since(self, number: int) -> Iterator[Numbered]:
        self.num_read += 1
        yield from list(enumerate(self.envelopes, start=1))[number:]


class Saved:
    """A cursor in memory."""

    number = 0

    def load(self) -> int:
        return self.number

    def save(self, number: int) -> None:
        self.number = number


class Run:
    """A run whose events are written down, and told to a service by one driver after the other."""

    def __init__(self, service: FakeService) -> None:
        self.service, self.history, self.cursor = service, Written(), Saved()
        self.delivery: Delivery | None = None

    def begin(self, **how: Any) -> None:
        how = {"look_every_s": 0.01, "close_within_s": 30.0} | how
        self.delivery = Delivery(
            self.service, history=self.history, cursor=self.cursor, how_to_catch_up="kaggle-ray deliver", **how
        )

    def tell(self, num_events: int) -> None:
        for _ in range(num_events):
            self.write(1)
            if self.delivery is not None:
                self.delivery.emit(self.history.envelopes[-1])

    def write(self, num_events: int) -> None:
        for number in range(len(self.history), len(self.history) + num_events):
            self.history.envelopes.append(addressed(RunWarned(topic=f"n{number}", text=""), time=float(number)))

    def end(self) -> None:
        assert self.delivery is not None
        self.delivery.close()
        self.delivery = None

    def all_are_there(self) -> bool:
        return list(self.service.taken.values()) == self.history.envelopes


@pytest.fixture
def run() -> Iterator[Run]:
    run = Run(FakeService())
    yield run
    run.service.thaw()
    if run.delivery is not None:
        run.end()


def test_a_service_gets_every_event_once_in_order_and_from_memory(run: Run) -> None:
    run.begin()
    run.tell(700)
    run.end()
    assert run.all_are_there()
    assert (run.service.num_sent, run.service.num_closed) == (700, 1)
    assert (run.history.num_read, run.cursor.number) == (0, 700)


def test_while_a_service_is_down_the_run_is_warned_once_and_it_gets_all_when_it_is_back(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.service.fail(ConnectionError("connection refused"))
    run.begin()
    run.tell(10)
    run.service.wait_until(num_refused=4)
    run.tell(10)
    run.service.fail(None)
    run.service.wait_until(num_taken=20)
    run.end()
    assert run.all_are_there()
    assert run.service.num_sent == 20, "nothing was taken twice"
    (warning,) = caplog.records
    assert "fake does not take events: ConnectionError: connection refused. The run goes on" in warning.getMessage()


def test_what_does_not_fit_into_memory_is_read_from_the_history(run: Run) -> None:
    run.service.freeze()
    run.begin(most_held=5)
    run.tell(100)
    run.service.thaw()
    run.service.wait_until(num_taken=100)
    run.tell(3)
    run.end()
    assert run.all_are_there()
    assert run.cursor.number == 103


def test_what_a_killed_driver_did_not_deliver_comes_before_what_the_next_one_tells(run: Run) -> None:
    run.begin()
    run.tell(10)
    run.end()
    run.write(5)  # by a driver that was killed before it delivered them
    run.begin()
    run.tell(3)
    run.end()
    assert run.all_are_there()
    assert run.service.num_sent == 18


def test_before_anything_is_sent_a_service_recalls_what_earlier_drivers_delivered(run: Run) -> None:
    run.begin()
    run.tell(3)
    run.end()
    assert run.service.recalled == []
    run.begin()
    run.tell(2)
    run.end()
    assert run.service.recalled == run.history.envelopes[:3]
    assert run.service.num_sent == 5


def test_a_history_that_lost_its_end_is_delivered_from_where_it_ends_now(run: Run) -> None:
    run.cursor.save(50)
    run.write(10)
    run.begin()
    run.tell(4)
    run.end()
    assert list(run.service.taken.values()) == run.history.envelopes[10:]
    assert run.cursor.number == 14


def test_an_event_that_is_in_no_history_is_told_all_the_same(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.begin(most_held=2)
    run.service.freeze()
    assert run.delivery is not None
    lost = [addressed(RunWarned(topic=f"lost{number}", text=""), time=0.0) for number in range(9)]
    for envelope in lost:  # as on a full disk, where the diary cannot be written
        run.delivery.emit(envelope)
    run.service.thaw()
    run.end()
    num_taken = len(run.service.taken)
    assert list(run.service.taken.values()) == lost[:num_taken]
    assert 2 <= num_taken < 9
    assert f"{9 - num_taken} events are not in the run's diary: fake does not get what is not there" in caplog.text


@pytest.mark.parametrize("fault", ["frozen", "dead"])
def test_at_the_end_a_service_is_waited_for_no_longer_than_said_and_what_it_lacks_is_told(
    run: Run, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    if fault == "frozen":
        run.service.freeze()
    else:
        run.service.fail(OSError("no route"))
    run.begin(close_within_s=0.2)
    run.tell(7)
    run.end()
    last = caplog.records[-1].getMessage()
    assert last.startswith("fake lacks 7 of 7 events")
    assert last.endswith("Deliver them by: kaggle-ray deliver")
    run.service.thaw()
    run.service.fail(None)
    assert deliver_backlog(run.service, history=run.history, cursor=run.cursor) in (0, 7)
    assert run.all_are_there()
    assert deliver_backlog(run.service, history=run.history, cursor=run.cursor) == 0
    run.service.taken.clear()  # a server that lost what it had
    assert deliver_backlog(run.service, history=run.history, cursor=run.cursor, again=True) == 7
    assert run.all_are_there()


def test_a_secret_is_in_no_warning(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.service.fail(ConnectionError("https://me:hunter2@host\nrefused"))
    run.begin(secrets=["hunter2"], close_within_s=0.2)
    run.tell(1)
    run.service.wait_until(num_refused=1)
    run.end()
    assert "hunter2" not in caplog.text
    assert "ConnectionError: https://me:***@host refused" in caplog.text


def test_a_service_that_does_not_close_costs_a_warning(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise OSError("broken pipe")

    monkeypatch.setattr(run.service, "close", fails)
    run.begin()
    with caplog.at_level(logging.WARNING):
        run.end()
    assert "fake did not close: OSError: broken pipe" in caplog.text


def test_a_delivery_takes_what_a_reporter_has_to_take_and_the_fake_what_a_sink_has_to() -> None:
    check_reporter(
        lambda: Delivery(FakeService(), history=Written(), cursor=Saved(), how_to_catch_up="", look_every_s=0.001)
    )
    check_sink(lambda settings, read: FakeService().make_sink(settings, read))
