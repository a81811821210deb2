from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from kaggle_ray.progress import Progress
from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BoardRow,
    EnsembleChosen,
    PreparationProgressed,
    RunEnded,
    RunWarned,
    TrialStarted,
)
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.testing.reporter_contract import check_reporter, every_kind_of_event
from kaggle_ray.types import Location
from tests.reporters.stories import (
    RESNET,
    VIT,
    at,
    decoding,
    epoch,
    finished,
    live,
    progressed,
    shown,
    started,
    trial,
    whole_trial,
)


@pytest.mark.parametrize("terminal", [True, False])
def test_console_reporter_fulfils_the_contract(terminal: bool) -> None:
    check_reporter(lambda: ConsoleReporter(Console(file=io.StringIO(), width=80, force_terminal=terminal)))


def test_pipe_gets_one_line_per_trial_and_none_per_epoch() -> None:
    lines = shown([started(), *whole_trial(trial(RESNET), 4, start=0.0, score=0.1234)], terminal=False).splitlines()
    assert lines == [
        "mnist-mini  run run-1  2 experiments x 2 folds = 4 trials  log_loss (lower is better)"
        "  local, 2 slots  runs/mnist-mini/run-1",
        "[1/4] resnet-a fold 0  log_loss 0.12340  4 epochs  8.1s  eta 0:16",
    ]


def test_a_run_says_which_weights_it_starts_from() -> None:
    weights = {"lite0-model": "5793" + "0" * 60, "https://example.com/w.pth": None}
    lines = shown([started(weights=weights)], terminal=False).splitlines()
    assert [line for line in lines if "weights" in line] == [
        "pretrained weights  lite0-model  sha256 579300000000",
        "pretrained weights  https://example.com/w.pth",
    ]


def test_pipe_shows_epochs_at_most_every_30_seconds() -> None:
    resnet, vit = trial(RESNET), trial(VIT)
    story = [
        started(),
        at(0.0, TrialStarted(trial=resnet)),
        at(0.0, TrialStarted(trial=vit)),
        epoch(resnet, 1, time=20.0, duration_s=20.0),
        epoch(resnet, 2, time=60.0, duration_s=40.0),
        epoch(vit, 1, time=70.0, duration_s=70.0),
        epoch(vit, 2, time=110.0, duration_s=40.0),
        epoch(resnet, 3, time=115.0, duration_s=55.0),
    ]
    _, *lines = shown(story, terminal=False).splitlines()
    assert lines == [
        "[0/4] resnet-a fold 0  epoch 2/4  train 0.2500  valid 0.3750  log_loss 0.50000  eta 12:00",
        "[0/4] vit-b fold 0  epoch 2/6  train 0.2500  valid 0.3750  log_loss 0.50000  eta 8:00",
    ]


def test_what_a_trial_is_at_is_told_until_the_next_epoch() -> None:
    resnet = trial(RESNET)
    story = [started(), at(0.0, TrialStarted(trial=resnet))]
    story += [progressed(resnet, num_done, time=float(num_done)) for num_done in range(10, 90, 10)]
    assert "computing features 40%" in live(story)
    narrow = live(story, width=80)
    assert "computing features 40%" in narrow
    assert "samples/s" not in narrow, "there is no room for it"
    assert "computing features" not in live([*story, epoch(resnet, 1, time=100.0)])
    assert "computing features" not in live([*story, progressed(resnet, 200, time=200.0)])
    assert "computing features" not in live([*story, finished(resnet, time=100.0), progressed(resnet, 90, time=101.0)])
    assert shown(story, terminal=False).splitlines()[1:] == [
        "[0/4] resnet-a fold 0  computing features: 30 of 200",
        "[0/4] resnet-a fold 0  computing features: 60 of 200",
    ]


def test_pipe_tells_of_an_epoch_rather_than_of_what_goes_on_within_it() -> None:
    resnet = trial(RESNET)
    of_twenty_s: list[Envelope] = []
    of_forty_s: list[Envelope] = []
    for number in range(1, 5):
        of_twenty_s += [progressed(resnet, 9, time=20.0 * number - 1), epoch(resnet, number, time=20.0 * number)]
    quick = shown([started(), *of_twenty_s], terminal=False).splitlines()[1:]
    assert [line.split("  ")[1] for line in quick] == ["epoch 2/4", "epoch 4/4"]
    for number in range(1, 3):
        within = [progressed(resnet, done, time=40.0 * (number - 1) + done) for done in (15, 35)]
        of_forty_s += [*within, epoch(resnet, number, time=40.0 * number)]
    slow = shown([started(), *of_forty_s], terminal=False).splitlines()[1:]
    assert [line.split("  ")[1] for line in slow] == [
        "computing features: 35 of 200",
        "epoch 1/4",
        "computing features: 35 of 200",
        "epoch 2/4",
    ]


def test_predictions_being_combined_are_told_until_the_ensemble_is() -> None:
    combining = at(
        1.0, PreparationProgressed(progress=Progress(stage="combining predictions", num_done=3, num_total=0))
    )
    chosen = EnsembleChosen(method="mean", weights={}, score_honest=0.5, score_in_sample=0.5)
    assert "combining predictions" in live([started(), combining])
    assert "combining predictions" not in live([started(), combining, at(2.0, chosen)])
    assert shown([combining], terminal=False).splitlines() == ["combining predictions"]


@pytest.mark.parametrize("terminal", [True, False])
def test_failure_is_shown_with_its_reason(terminal: bool) -> None:
    error = "NonFiniteLossError: loss became [nan]\nat step 3"
    story = [started(), finished(trial(VIT, 1), status="failed", error=error, time=5.0)]
    drawn = shown(story, terminal=terminal, width=60)
    assert "[1/4] vit-b fold 1  FAILED  NonFiniteLossError: loss became [nan] at step 3" in drawn


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_with_failed_trials_is_not_called_finished_and_its_last_line_says_so(terminal: bool) -> None:
    end = at(9.0, RunEnded(submission=None, report=None, seconds=9.0, board=()))
    drawn = shown([started(), finished(trial(VIT, 1), status="failed", error="no", time=5.0), end], terminal=terminal)
    assert drawn.splitlines()[-1].strip().startswith("ended after 9.0s: 1 of 4 trials failed; the same command")
    assert "finished in" not in drawn


@pytest.mark.parametrize("terminal", [True, False])
def test_whole_story_is_told_and_ends_with_the_leaderboard_and_what_was_written(terminal: bool) -> None:
    drawn = shown(every_kind_of_event(), terminal=terminal, width=120)
    for expected in (
        "baseline (a constant)  log_loss 0.69000  runs/toy/run-1/submissions/baseline.csv",
        "warning: resnet [a] fold 0, an anomaly: exploding_gradient [of samples a, b]",
        "warning: near-duplicate images: 3 groups (see near_duplicates.json)",
        "dashboard  http://127.0.0.1:8265  the token that it asks for: ray get-auth-token",
        "stopped by ctrl-c: 1 of 2 trials are safe.",
        "kaggle-ray run toy",
        "kaggle-ray ensemble toy",
        "ensemble greedy  log_loss 0.25000 (in-sample 0.24000)  resnet [a] 1.000",
        "ended after 1:40: 1 of 3 trials failed",
        "runs/toy/run-1/report.html",
    ):
        assert expected in drawn
    assert (
        "resnet [a]" in drawn[drawn.index("ensemble greedy  log_loss") : drawn.index("report.html")].partition("\n")[2]
    )


def test_pipe_gets_neither_colour_codes_nor_cut_lines() -> None:
    name = "a-name-so-long-that-eighty-columns-are-not-enough-for-it-and-its-score-in-one-line-of-the-table"
    row = BoardRow(name=name, kind="experiment", score=0.123456, duration_s=3723.0)
    finish = at(9.0, RunEnded(submission=Location("a/" * 60), report=None, seconds=1.0, board=(row,)))
    drawn = shown([started(), finish], terminal=False, width=80)
    assert "\x1b" not in drawn
    assert f"| 1 | {name} |  0.12346 | 1:02:03 |" in drawn
    assert "a/" * 60 in drawn


def test_terminal_is_drawn_on_live_until_the_run_is_finished() -> None:
    file = io.StringIO()
    reporter = ConsoleReporter(Console(file=file, width=80, force_terminal=True))
    show_cursor, hide_cursor = "\x1b[?25h", "\x1b[?25l"
    reporter.emit(started())
    assert hide_cursor in file.getvalue()
    assert show_cursor not in file.getvalue()
    reporter.emit(at(1.0, RunEnded(submission=None, report=None, seconds=1.0, board=())))
    assert show_cursor in file.getvalue()


@pytest.mark.parametrize("ending", ["close", "interrupted"])
def test_screen_is_given_back_however_the_run_ends(ending: str) -> None:
    file = io.StringIO()
    reporter = ConsoleReporter(Console(file=file, width=80, force_terminal=True))
    reporter.emit(started())
    if ending == "close":
        reporter.close()
    else:
        reporter.emit(next(told for told in every_kind_of_event() if told.kind == "run_interrupted"))
    assert "\x1b[?25h" in file.getvalue()


def test_an_earlier_session_is_no_part_of_the_pace() -> None:
    progress = RunProgress()
    for event in [started(num_folds=1), epoch(trial(RESNET), 1, time=1.0), started(num_folds=1)]:
        progress.update(event)
    assert progress.eta_s is None


def test_failed_trial_is_not_waited_for() -> None:
    progress = RunProgress()
    for event in [started(num_folds=1, num_slots=1), epoch(trial(RESNET), 1, time=2.0, duration_s=2.0)]:
        progress.update(event)
    assert progress.eta_s == pytest.approx(18.0)
    progress.update(finished(trial(RESNET), status="failed", error="x", time=2.0))
    assert progress.eta_s == pytest.approx(12.0)


def test_a_pruned_trial_is_told_with_its_reason_counted_and_not_waited_for() -> None:
    story = [started(num_folds=1), epoch(trial(RESNET), 1, time=2.0, duration_s=2.0)]
    story.append(finished(trial(RESNET), status="pruned", reason="worse than all", time=2.0))
    assert "resnet-a fold 0  pruned  1 epoch  worse than all" in shown(story, terminal=False)
    drawn = live(story)
    assert "1 pruned" in drawn
    assert "eta 0:12" in drawn


def test_run_whose_experiments_differ_in_length_ends_full() -> None:
    progress = RunProgress()
    progress.update(started(ended=[trial(RESNET, 0), trial(VIT, 0)]))
    for which, num_epochs in ((trial(RESNET, 1), 4), (trial(VIT, 1), 6)):
        for event in whole_trial(which, num_epochs, start=1.0, score=0.5):
            progress.update(event)
            assert 0 <= progress.num_epochs_left <= progress.num_epochs
    assert progress.num_epochs_left == 0
    assert progress.eta_s == 0


def test_score_that_is_missing_is_said_to_be() -> None:
    story = [started(), epoch(trial(RESNET), 1, time=40.0, score=math.nan), finished(trial(RESNET), time=41.0)]
    assert "log_loss n/a  1 epoch  " in shown(story, terminal=False)
    assert "best" not in live(story)


def test_preparation_is_a_line_every_30_seconds_in_a_pipe() -> None:
    story = [decoding(10 * second, time=float(second)) for second in range(1, 65)]
    assert shown(story, terminal=False).splitlines() == [
        "decoding images: 10 of 2000",
        "decoding images: 310 of 2000",
        "decoding images: 610 of 2000",
    ]


def test_screen_is_given_back_where_a_run_ends_before_it_has_a_name() -> None:
    file = io.StringIO()
    reporter = ConsoleReporter(Console(file=file, width=80, force_terminal=True))
    reporter.emit(decoding(1, time=1.0))
    reporter.close()
    assert "\x1b[?25h" in file.getvalue()


def test_in_a_notebook_the_lines_of_an_event_are_one_output_and_none_is_wider_than_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ipywidgets")
    outputs: list[str] = []
    monkeypatch.setattr("rich.jupyter.display", lambda segments, text: outputs.append(text))
    reporter = ConsoleReporter(Console(force_jupyter=True, width=60, color_system=None))
    reporter.emit(at(1.0, RunWarned(topic="other_code", text="a long warning " * 10)))
    reporter.emit(at(2.0, RunEnded(submission=Location("s.csv"), report=Location("r.html"), seconds=3.0, board=())))
    warning, end = outputs
    assert max(map(len, warning.splitlines())) <= 60
    assert [line.rstrip() for line in end.splitlines()] == [
        "submission: s.csv", "report:     r.html", "finished in 3.0s",
    ]  # fmt: skip
