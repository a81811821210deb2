from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunFailed, RunInterrupted, TrialEnded
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.pages import MAX_ROWS, text_windows
from kaggle_ray.reporters.visdom.windows import Html
from kaggle_ray.testing.told import told_run

NAMES = {"0" * 12: "resnet-a", "1" * 12: "resnet-b"}


def pages_of(story: Iterable[Envelope]) -> dict[str, str]:
    history = RunHistory()
    for envelope in story:
        history.update(envelope)
    pages = {}
    for window in text_windows(history):
        assert isinstance(window.content, Html)
        pages[window.name] = window.content.markup
    return pages


def story() -> list[Envelope]:
    return list(told_run(names=NAMES, num_folds=2, num_epochs=3))


def test_a_run_that_goes_on_says_how_far_it_is_and_which_trials_are_under_way() -> None:
    pages = pages_of(story()[:5])  # one trial, at its second epoch
    assert "toy run-1" in pages["summary"]
    assert "trials 0/4 done · 1 running · 3 waiting" in pages["summary"]
    assert "eta" in pages["summary"]
    assert "log_loss (lower is better)" in pages["summary"]
    assert "me on here" in pages["summary"]
    assert "resnet-a fold 0" in pages["running"]
    assert "2/3" in pages["running"]
    assert "no trial is committed yet" in pages["board"]


def test_a_run_that_has_ended_shows_its_board_and_where_the_submission_is() -> None:
    pages = pages_of(story())
    assert "ended after" in pages["summary"]
    assert "runs/toy/run-1/submissions/best.csv" in pages["summary"]
    assert "resnet-a" in pages["board"]
    assert "none" in pages["running"]


def test_a_run_that_was_stopped_or_failed_says_why_and_how_to_go_on() -> None:
    command = "kaggle-ray run toy"
    stopped = RunInterrupted(
        reason="deadline", num_committed=1, num_trials=4, how_to_resume=command, how_to_ensemble="kaggle-ray ensemble"
    )
    *told, last = story()[:8]
    pages = pages_of([*told, replace(last, event=stopped)])
    assert "stopped by deadline" in pages["summary"]
    assert command in pages["summary"]
    pages = pages_of([*told, replace(last, event=RunFailed(error="no room left", how_to_resume=command))])
    assert "failed: no room left" in pages["summary"]
    assert command in pages["summary"]


def test_long_tables_show_the_first_rows_and_say_so() -> None:
    many = {f"{number:012x}": f"resnet-{number}" for number in range(50)}
    pages = pages_of(list(told_run(names=many, num_folds=1, num_epochs=1))[:-1])
    assert f"{MAX_ROWS} of 50" in pages["board"]
    assert pages["board"].count("<tr>") == MAX_ROWS + 1


def test_texts_from_a_run_are_no_markup() -> None:
    bad = "<script>alert(1)</script>"
    told = list(told_run(names=dict.fromkeys(NAMES, bad), num_folds=2, num_epochs=3, competition=bad))
    events = [
        replace(envelope, host=bad, user=bad, event=replace(envelope.event, status="failed", error=bad))
        if isinstance(envelope.event, TrialEnded)
        else envelope
        for envelope in told
    ]
    for told_so_far in (events[:4], events):
        for page in pages_of(told_so_far).values():
            assert "<script" not in page
