from __future__ import annotations

import threading
import time

import pytest

from kaggle_ray.pipeline.stalls import Silence, StallWatch
from kaggle_ray.progress import Progress
from kaggle_ray.reporters import FanOut
from kaggle_ray.reporters.events import Event, PreparationProgressed, RunStalled, TrialProgressed
from kaggle_ray.testing.reporter_contract import addressed
from kaggle_ray.types import Trial

SOMETHING = PreparationProgressed(progress=Progress(stage="decoding images", num_done=0, num_total=1))
OF_A_TRIAL = TrialProgressed(
    trial=Trial(experiment_id="a" * 12, fold=0),
    progress=Progress(stage="computing features", num_done=1, num_total=9),
)


def test_a_silence_is_told_of_once_until_something_is_heard_again() -> None:
    silence = Silence(now=0.0, least_s=900)
    assert silence.unusual_s(899) is None
    assert silence.unusual_s(901) == 901
    assert silence.unusual_s(2000) is None
    silence.end(2001)
    assert silence.unusual_s(2001 + 5 * 2000) is None
    assert silence.unusual_s(2001 + 5 * 2001) == 5 * 2001


def test_what_takes_hours_between_two_words_is_not_stalled_after_minutes() -> None:
    silence = Silence(now=0.0, least_s=900)
    silence.end(7200)
    assert silence.unusual_s(7200 + 3 * 7200) is None


def test_a_stall_is_told_by_a_thread_and_is_no_sign_of_life_itself() -> None:
    told: list[Event] = []
    stalled = threading.Event()

    def emit(event: Event) -> None:
        told.append(event)
        watch.emit(addressed(event, time=0.0))
        stalled.set()

    watch = StallWatch(emit, least_s=0.05, look_every_s=0.01)
    assert stalled.wait(timeout=60)
    time.sleep(0.2)
    watch.close()
    assert [type(event) for event in told] == [RunStalled]


@pytest.mark.parametrize("event", [SOMETHING, OF_A_TRIAL], ids=["prepared", "of a trial"])
def test_progress_is_a_sign_of_life_of_a_run_whose_epochs_are_long(event: Event) -> None:
    now, told, looked = [0.0], list[Event](), threading.Semaphore(0)

    def clock() -> float:
        looked.release()
        return now[0]

    watch = StallWatch(told.append, look_every_s=0.001, clock=clock)
    fan_out = FanOut([watch])
    for minute in range(0, 120, 10):
        now[0] = 60.0 * minute
        fan_out.emit(event)
        for _ in range(5):
            assert looked.acquire(timeout=60)
    fan_out.close()
    assert told == []
