"""A terminal that closes ends a run as SIGTERM does."""

from __future__ import annotations

import signal

import pytest

from kaggle_ray.train.preemption import Terminated, end_noticed, sigterm_raises


def test_a_terminal_that_closes_ends_in_an_orderly_way() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with pytest.raises(Terminated, match="the same command goes on"), sigterm_raises():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_fit_notices_that_its_terminal_closes() -> None:
    with pytest.raises(Terminated), sigterm_raises(), end_noticed() as notice:
        signal.raise_signal(signal.SIGHUP)
    assert notice.signal == signal.SIGHUP


def test_a_terminal_that_closes_is_nothing_to_what_nohup_started() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sigterm_raises(), end_noticed() as notice:
            signal.raise_signal(signal.SIGHUP)
        assert not notice.is_given
    finally:
        signal.signal(signal.SIGHUP, before)
