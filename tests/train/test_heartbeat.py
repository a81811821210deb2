from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kaggle_ray.progress import Progress, progress_told_to
from kaggle_ray.train.heartbeat import Watcher, watched_by, with_heartbeats
from kaggle_ray.train.ranks import ALONE, in_turns


@dataclass
class Heard:
    """Keeps what it is told."""

    told: list[str] = field(default_factory=list)

    def beat(self) -> None:
        self.told.append("beat")

    def rest(self) -> None:
        self.told.append("rest")


_: type[Watcher] = Heard


def test_a_watcher_hears_of_each_batch_and_of_the_end() -> None:
    heard = Heard()
    with watched_by(heard):
        assert list(with_heartbeats("ab", "training", num_total=2)) == ["a", "b"]
    assert heard.told == ["beat", "beat", "rest"]


def test_a_watcher_hears_of_the_end_where_a_batch_fails() -> None:
    heard = Heard()
    with watched_by(heard), pytest.raises(ZeroDivisionError):
        sum(1 / number for number in with_heartbeats([1, 0, 1], "training", num_total=3))
    assert heard.told == ["beat", "beat", "rest"]


def test_outside_of_the_context_nobody_is_told() -> None:
    heard = Heard()
    with watched_by(heard):
        pass
    assert list(with_heartbeats("ab", "training", num_total=2)) == ["a", "b"]
    assert heard.told == []


def test_batches_that_are_predicted_are_told_too() -> None:
    heard = Heard()
    with watched_by(heard):
        assert list(in_turns(ALONE, [1, 2, 3], lambda item: -item)) == [-1, -2, -3]
    assert heard.told == ["beat", "beat", "beat", "rest"]


def test_batches_are_counted_as_progress_whether_somebody_watches_or_not() -> None:
    told: list[Progress] = []
    with progress_told_to(told.append):
        list(in_turns(ALONE, [1, 2], lambda item: -item))
        with watched_by(Heard()):
            list(with_heartbeats("a", "training", num_total=1))
    assert [(each.stage, each.num_done, each.num_total) for each in told] == [
        ("predicting", 0, 2), ("predicting", 1, 2), ("predicting", 2, 2), ("training", 0, 1), ("training", 1, 1),
    ]  # fmt: skip
