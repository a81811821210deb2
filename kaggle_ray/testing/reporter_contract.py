"""The contract of a reporter: call ``check_reporter`` in a test of each implementation."""

from __future__ import annotations

from collections.abc import Callable

from kaggle_ray.reporters import Reporter, events
from kaggle_ray.types import EpochMetrics, Event, Trial

KNOWN = Trial(experiment_id="a" * 12, fold=0)
UNKNOWN = Trial(experiment_id="f" * 12, fold=3)


def check_reporter(make_reporter: Callable[[], Reporter]) -> None:
    """Check that a reporter takes what a run can bring; each check begins with a new reporter.

    Raises:
        Exception: whatever the reporter raised where it must not.
    """
    story = every_kind_of_event()
    scenarios: dict[str, list[Event]] = {
        "nothing happens": [],
        "every kind of event": story,
        "every event twice": [event for event in story for _ in range(2)],
        "the run again": story + story,
        "no beginning": story[1:],
        "end to beginning": story[::-1],
        "scores missing": [event for trial in (KNOWN, UNKNOWN) for event in events_without_scores(trial)],
        "an unknown experiment": [story[0], *events_without_scores(UNKNOWN), story[-1]],
    }
    for name, scenario in scenarios.items():
        try:
            reporter = make_reporter()
            for event in scenario:
                reporter.emit(event)
            reporter.close()
            reporter.close()
        except Exception as error:
            error.add_note(f"in the scenario {name!r} of the reporter contract")
            raise


def every_kind_of_event() -> list[Event]:
    """Return a run of two trials, one of which fails, with at least one event of each kind; 10 seconds apart."""
    other = Trial(experiment_id=KNOWN.experiment_id, fold=1)
    row = {"name": "resnet [a]", "kind": "experiment", "score": 0.25, "folds_done": 2, "num_folds": 2, "epochs": 2}
    return [
        events.run_started(
            run_id="run-1",
            competition="toy",
            metric="log_loss",
            greater_is_better=False,
            experiments={KNOWN.experiment_id: "resnet [a]"},
            num_folds=2,
            ended=[],
            epochs={KNOWN.experiment_id: 2},
            launcher="local",
            num_slots=1,
            run_dir="runs/toy/run-1",
            time=1000.0,
        ),
        events.baseline(score=0.69, submission="runs/toy/run-1/submissions/baseline.csv", time=1010.0),
        events.trial_started(KNOWN, time=1020.0),
        events.epoch(KNOWN, _epoch_metrics(1), time=1030.0),
        events.epoch(KNOWN, _epoch_metrics(2), time=1040.0),
        events.trial_finished(KNOWN, status="committed", score=0.25, duration_s=20.0, time=1050.0),
        events.trial_started(other, time=1060.0),
        events.trial_finished(
            other, status="failed", score=None, duration_s=1.0, error="OSError: [Errno 5] bad disk", time=1070.0
        ),
        events.interrupted(
            reason="ctrl-c",
            num_committed=1,
            num_trials=2,
            how_to_resume="kaggle-ray run toy",
            how_to_ensemble="kaggle-ray ensemble toy",
            time=1080.0,
        ),
        events.ensemble(
            method="greedy", weights={"resnet [a]": 1.0}, score_honest=0.25, score_in_sample=0.24, time=1090.0
        ),
        events.refit(submission="runs/toy/run-1/submissions/refit.csv", cross_validated_score=0.25, time=1095.0),
        events.run_finished(
            submission="runs/toy/run-1/submissions/best.csv",
            report="runs/toy/run-1/report.html",
            seconds=100.0,
            board=[row],
            time=1100.0,
        ),
    ]


def events_without_scores(trial: Trial) -> list[Event]:
    """Return events whose scores and losses are missing or not numbers."""
    nan = float("nan")
    metrics = EpochMetrics(epoch=1, train_loss=nan, valid_loss=nan, score=nan, lr=0.1, duration_s=1.0)
    return [
        events.baseline(score=None, submission=None, time=1000.0),
        events.trial_started(trial, time=1001.0),
        events.epoch(trial, metrics, time=1040.0),
        events.trial_finished(trial, status="committed", score=None, duration_s=1.0, time=1041.0),
        events.trial_finished(trial, status="stopped", score=None, duration_s=1.0, time=1042.0),
        events.trial_finished(trial, status="failed", score=None, duration_s=1.0, error=None, time=1043.0),
        events.ensemble(method="mean", weights={}, score_honest=None, score_in_sample=None, time=1044.0),
        events.refit(submission=None, cross_validated_score=None, why_not="there was no time", time=1044.5),
        events.run_finished(submission=None, report=None, seconds=0.0, board=[], time=1045.0),
    ]


def _epoch_metrics(epoch: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch, train_loss=0.5 / epoch, valid_loss=0.6 / epoch, score=0.6 / epoch, lr=0.001, duration_s=8.0
    )
