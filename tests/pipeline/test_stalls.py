from __future__ import annotations

import threading

from kaggle_ray.pipeline.stalls import Silence, stalls_told
from kaggle_ray.progress import Progress
from kaggle_ray.reporters.events import Event, PreparationProgressed, RunStalled

SOMETHING = PreparationProgressed(progress=Progress(stage="decoding images", num_done=0, num_total=1))


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


def test_a_watched_run_is_told_to_stall_and_its_events_pass_unchanged() -> None:
    told: list[Event] = []
    stalled = threading.Event()

    def emit(event: Event) -> None:
        told.append(event)
        if isinstance(event, RunStalled):
            stalled.set()

    with stalls_told(emit, least_s=0.05, look_every_s=0.01) as heard:
        heard(SOMETHING)
        assert stalled.wait(timeout=60)
    assert told[0] == SOMETHING
    assert [type(event) for event in told[1:]] == [RunStalled]
