"""Real signals, sent by this process to itself."""

from __future__ import annotations

import signal
import threading

import pytest

from kaggle_ray.train.preemption import Terminated, end_noticed, sigterm_kept, sigterm_raises


@pytest.fixture(autouse=True)
def _handlers_are_those_of_before() -> object:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_is_noticed_and_whoever_acts_upon_it_ends(number: int, kind: type[BaseException]) -> None:
    def act_upon_it() -> None:
        with end_noticed() as notice:
            assert notice.signal == 0
            signal.raise_signal(number)
            assert notice.signal == number
            raise notice.interruption()

    with pytest.raises(KeyboardInterrupt) as raised:
        act_upon_it()
    assert type(raised.value) is kind


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    def asked_twice() -> None:
        with end_noticed():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("was not interrupted")

    with pytest.raises(KeyboardInterrupt):
        asked_twice()


def test_a_signal_that_nobody_acted_upon_is_not_lost() -> None:
    with pytest.raises(Terminated), sigterm_raises(), end_noticed():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), end_noticed():
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_stays_with_a_debugger_that_handles_it() -> None:
    seen = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with end_noticed() as notice:
            signal.raise_signal(signal.SIGINT)
            assert notice.signal == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


def test_sigterm_raises_where_the_process_is_and_a_second_one_does_not_disturb_what_ends() -> None:
    steps = []

    def asked_twice() -> None:
        with sigterm_raises():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                steps.append("cleaned up")

    with pytest.raises(Terminated, match="the same command goes on"):
        asked_twice()
    assert steps == ["cleaned up"]


def test_other_threads_leave_signals_alone() -> None:
    found = []

    def run() -> None:
        with sigterm_raises(), sigterm_kept(), end_noticed() as notice:
            found.append(notice.signal)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [0]


def test_a_library_s_handler_does_not_stay() -> None:
    with sigterm_raises():
        with sigterm_kept():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)


def test_sigterm_stays_what_it_is_where_compiled_code_makes_a_plain_interrupt_of_it() -> None:
    def compiled() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    with pytest.raises(Terminated), sigterm_raises():
        compiled()


def test_ctrl_c_is_no_sigterm() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, sigterm_raises():
        raise KeyboardInterrupt
    assert not isinstance(caught.value, Terminated)
