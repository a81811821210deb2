from __future__ import annotations

import pytest

from kaggle_ray.errors import StoreError
from kaggle_ray.pipeline.summing_up import summing_up
from kaggle_ray.reporters.events import Event, TrialEnded, TrialStarted
from kaggle_ray.types import Trial

TRIAL = Trial(experiment_id="a" * 12, fold=0)
STARTED, ENDED = (
    TrialStarted(trial=TRIAL),
    TrialEnded(trial=TRIAL, status="committed", score=0.5, duration_s=1.0),
)


def saves_of(*told: tuple[float, Event], takes_s: float = 0.0) -> list[float]:
    """Return when it was saved, of events at these times."""
    now, saved, passed_on = 0.0, list[float](), list[Event]()

    def save() -> None:
        nonlocal now
        saved.append(now)
        now += takes_s

    emit = summing_up(passed_on.append, save, every_s=60.0, clock=lambda: now)
    for at, event in told:
        now = max(now, at)
        emit(event)
    assert passed_on == [event for _, event in told]
    return saved


def test_results_are_summed_up_after_a_trial_s_end_once_a_minute() -> None:
    assert saves_of((59, ENDED), (60, STARTED), (61, ENDED), (62, ENDED), (120, ENDED), (121, ENDED)) == [61, 121]


def test_what_takes_long_is_done_more_seldom() -> None:
    assert saves_of((60, ENDED), (130, ENDED), (569, ENDED), (570, ENDED), takes_s=10.0) == [60, 570]


def test_a_bucket_that_is_away_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def refused() -> None:
        raise StoreError("s3://bucket: no answer")

    emit = summing_up(lambda event: None, refused, every_s=0.0)
    emit(ENDED)
    assert "the results are not summed up: s3://bucket: no answer" in caplog.text
