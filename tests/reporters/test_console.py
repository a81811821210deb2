from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from rich.console import Console

from kaggle_ray.progress import Progress
from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BoardRow,
    EnsembleChosen,
    EpochEnded,
    Event,
    PreparationProgressed,
    RunEnded,
    RunStarted,
    RunWarned,
    TrialEnded,
    TrialProgressed,
    TrialStarted,
)
from kaggle_ray.reporters.live_view import live_view
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.testing.reporter_contract import addressed, check_reporter, every_kind_of_event
from kaggle_ray.types import EpochMetrics, Location, Trial, TrialStatus

RESNET, VIT = "1" * 12, "2" * 12


def started(*, ended: Sequence[Trial] = (), num_folds: int = 2, **changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "metric": "log_loss",
        "greater_is_better": False,
        "experiments": {RESNET: "resnet-a", VIT: "vit-b"},
        "epochs": {RESNET: 4, VIT: 6},
        "launcher": "local",
        "num_slots": 2,
        "run_dir": Location("runs/mnist-mini/run-1"),
    }
    before = tuple(TrialEnded(trial=which, status="committed", score=0.25, duration_s=1.0) for which in ended)
    return at(0.0, RunStarted(ended=before, num_folds=num_folds, **(values | changes)))


def at(time: float, event: Event) -> Envelope:
    return dataclasses.replace(addressed(event, time=time), competition="mnist-mini")


def trial(experiment_id: str, fold: int = 0) -> Trial:
    return Trial(experiment_id=experiment_id, fold=fold)


def epoch(which: Trial, number: int, *, time: float, score: float = 0.5, duration_s: float = 1.0) -> Envelope:
    metrics = EpochMetrics(epoch=number, train_loss=0.25, valid_loss=0.375, score=score, lr=0.1, duration_s=duration_s)
    return at(time, EpochEnded(trial=which, metrics=metrics))


def finished(
    which: Trial,
    *,
    time: float,
    score: float | None = None,
    status: TrialStatus = "committed",
    error: str | None = None,
    reason: str | None = None,
) -> Envelope:
    return at(time, TrialEnded(trial=which, status=status, score=score, duration_s=8.1, error=error, reason=reason))


def whole_trial(which: Trial, num_epochs: int, *, start: float, score: float) -> list[Envelope]:
    """One epoch per second."""
    return [
        at(start, TrialStarted(trial=which)),
        *(epoch(which, number, time=start + number, score=score) for number in range(1, num_epochs + 1)),
        finished(which, score=score, time=start + num_epochs),
    ]


def shown(story: Iterable[Envelope], *, terminal: bool, width: int = 100) -> str:
    file = io.StringIO()
    reporter = ConsoleReporter(Console(file=file, width=width, force_terminal=terminal, color_system=None))
    for event in story:
        reporter.emit(event)
    reporter.close()
    return file.getvalue()


def live(story: Iterable[Envelope], *, width: int = 100) -> str:
    progress = RunProgress()
    for event in story:
        progress.update(event)
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(live_view(progress))
    return console.export_text()


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


def progressed(which: Trial, num_done: int, *, time: float) -> Envelope:
    progress = Progress(stage="computing features", num_done=num_done, num_total=200)
    return at(time, TrialProgressed(trial=which, progress=progress))


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


def test_live_view_shows_the_trials_under_way() -> None:
    story = [
        started(),
        at(1.0, TrialStarted(trial=trial(VIT, 1))),
        epoch(trial(VIT, 1), 2, time=9.0),
    ]
    *_, last = live(story).splitlines()
    assert last.split() == ["vit-b", "1", "2/6", "0.2500", "0.3750", "0.50000", "0:04"]  # its last epoch took 1 s


def test_live_view_counts_epochs_and_estimates_the_time_left_from_this_session() -> None:
    story = [started(num_folds=1), *whole_trial(trial(RESNET), 4, start=0.0, score=0.5)]
    drawn = live(story)
    assert "4/10" in drawn
    assert "0:04 elapsed  eta 0:06" in drawn


def test_epochs_of_before_count_as_done_but_not_as_pace() -> None:
    story = [
        started(ended=[trial(VIT), trial(VIT, 1), trial(RESNET, 1)]),
        epoch(trial(RESNET), 1, time=15.0, duration_s=10.0),
    ]
    drawn = live(story)
    assert "17/20" in drawn
    assert "eta 0:30" in drawn
    assert "best 0.25000 (vit-b, mean of all folds)" in drawn


def test_trial_resumed_in_the_middle_counts_only_what_it_trained_here() -> None:
    story = [started(num_folds=1, num_slots=1), epoch(trial(VIT), 5, time=10.0, duration_s=9.0)]
    drawn = live(story)
    assert "5/10" in drawn
    assert "eta 0:45" in drawn


def test_what_comes_once_before_the_first_epoch_is_no_part_of_the_time_left() -> None:
    story = [started(num_folds=1), epoch(trial(RESNET), 1, time=600.0), epoch(trial(VIT), 1, time=600.1)]
    assert "eta 0:04" in live(story), "8 epochs of a second, two at once"
    slow_to_begin = [*story, epoch(trial(RESNET), 2, time=606.0)]
    assert "eta 0:21" in live(slow_to_begin), "two epochs have ended within six seconds of the first"


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


def test_second_attempt_runs_again_and_clears_the_failure() -> None:
    story = [
        started(),
        finished(trial(RESNET), status="failed", error="worker died", time=1.0),
        at(2.0, TrialStarted(trial=trial(RESNET))),
    ]
    drawn = live(story)
    assert "failed" not in drawn
    assert "trials 0/4 done" in drawn


def test_single_fold_is_best_only_until_an_experiment_is_complete() -> None:
    story = [started(), finished(trial(RESNET, 0), score=0.1, time=1.0), finished(trial(VIT, 0), score=0.2, time=2.0)]
    assert "best 0.10000 (resnet-a, fold 0 alone)" in live(story)
    story.append(finished(trial(VIT, 1), score=0.4, time=3.0))
    assert "best 0.30000 (vit-b, mean of all folds)" in live(story)


def test_greater_score_is_best_where_the_metric_says_so() -> None:
    scores = [finished(trial(RESNET), score=0.8, time=1.0), finished(trial(VIT), score=0.9, time=1.0)]
    assert "best 0.90000 (vit-b" in live([started(greater_is_better=True), *scores])


def test_resumed_run_with_nothing_left_is_full() -> None:
    drawn = live([started(ended=[trial(VIT), trial(VIT, 1), trial(RESNET), trial(RESNET, 1)])])
    assert "20/20" in drawn
    assert "trials 4/4 done" in drawn
    assert "eta" not in drawn


def test_run_of_no_trials_is_drawn() -> None:
    assert "trials 0/0 done" in live([started(experiments={}, epochs={})])


def test_unknown_experiment_is_shown_by_its_id() -> None:
    unknown = trial("f" * 12, 7)
    drawn = live([started(), epoch(unknown, 3, time=1.0)])
    assert "ffffffffffff" in drawn
    assert "trials 0/4 done" in drawn
    assert "3/3" in drawn


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


def decoding(num_done: int, *, time: float, **changes: str) -> Envelope:
    progress = Progress(stage="decoding images", num_done=num_done, num_total=2000)
    unnamed: dict[str, Any] = {"competition": "", "run_id": "", **changes}
    return dataclasses.replace(at(time, PreparationProgressed(progress=progress)), **unnamed)


def test_preparation_is_a_line_every_30_seconds_in_a_pipe() -> None:
    story = [decoding(10 * second, time=float(second)) for second in range(1, 65)]
    assert shown(story, terminal=False).splitlines() == [
        "decoding images: 10 of 2000",
        "decoding images: 310 of 2000",
        "decoding images: 610 of 2000",
    ]


def test_preparation_is_a_bar_on_a_terminal_before_and_after_the_run_has_its_name() -> None:
    (bar,) = live([decoding(500, time=1.0)]).splitlines()
    assert bar.startswith("decoding images ")
    assert bar.rstrip().endswith("500/2000")
    lines = live([started(), decoding(500, time=1.0, competition="mnist-mini")]).splitlines()
    assert lines[0].startswith("mnist-mini")
    assert lines[-1].rstrip().endswith("500/2000")


def test_preparation_that_is_done_is_shown_no_more() -> None:
    assert "decoding" not in live([decoding(500, time=1.0), decoding(2000, time=2.0)])


def test_screen_is_given_back_where_a_run_ends_before_it_has_a_name() -> None:
    file = io.StringIO()
    reporter = ConsoleReporter(Console(file=file, width=80, force_terminal=True))
    reporter.emit(decoding(1, time=1.0))
    reporter.close()
    assert "\x1b[?25h" in file.getvalue()


def test_live_view_shows_a_trials_throughput_and_memory() -> None:
    metrics = EpochMetrics(
        epoch=1, train_loss=0.25, valid_loss=0.375, score=0.5, lr=0.1, duration_s=1.0,
        samples_per_s=1234.5, resident_bytes=3 * 2**29,
    )  # fmt: skip
    on_cpu, on_gpu = (dataclasses.replace(metrics, gpu_peak_bytes=peak) for peak in (None, 2**31))
    drawn = live([started(), at(1.0, EpochEnded(trial=trial(RESNET), metrics=on_cpu))])
    assert drawn.splitlines()[-1].split()[-4:] == ["1,234", "1.5", "GiB", "0:03"]
    drawn = live([started(), at(1.0, EpochEnded(trial=trial(RESNET), metrics=on_gpu))])
    assert drawn.splitlines()[-1].split()[-5:] == ["1,234", "2.0", "GiB", "GPU", "0:03"]


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
