"""The contract of a reporter: call ``check_reporter`` in a test of each implementation."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

from kaggle_ray.progress import Progress
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BaselineScored,
    BoardRow,
    DashboardServed,
    EnsembleChosen,
    EpochEnded,
    Event,
    PreparationProgressed,
    RefitEnded,
    RoundBegan,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunKilled,
    RunStalled,
    RunStarted,
    RunWarned,
    SamplesDrawn,
    TrialEnded,
    TrialProgressed,
    TrialStarted,
    TrialWarned,
)
from kaggle_ray.types import EpochMetrics, JsonValue, Location, Trial, TrialWarning

KNOWN = Trial(experiment_id="a" * 12, fold=0)
UNKNOWN = Trial(experiment_id="f" * 12, fold=3)
RUN = "runs/toy/run-1"
HYPERPARAMETERS: dict[str, JsonValue] = {
    "model": "resnet9",
    "model_args": {"width": 8, "stages": [2, 2]},
    "lr": 1e-3,
    "epochs": 2,
    "pretrained": False,
    "init_from": None,
}


def sample_pictures() -> dict[str, bytes]:
    """Return the pictures that ``every_kind_of_event`` names: key -> JPEG, each of another width."""
    drawn = [each.event for each in every_kind_of_event() if isinstance(each.event, SamplesDrawn)]
    pictures: dict[str, bytes] = {}
    for key in (key for event in drawn for key in (event.oof, event.test)):
        encoded = io.BytesIO()
        Image.new("RGB", (20 + len(pictures), 10)).save(encoded, format="JPEG")
        pictures[key] = encoded.getvalue()
    return pictures


def check_reporter(make_reporter: Callable[[], Reporter]) -> None:
    """Check that a reporter takes what a run can bring; each check begins with a new reporter.

    Raises:
        Exception: whatever the reporter raised where it must not.
    """
    for name, scenario in scenarios().items():
        try:
            reporter = make_reporter()
            for event in scenario:
                reporter.emit(event)
            reporter.close()
            reporter.close()
        except Exception as error:
            error.add_note(f"in the scenario {name!r} of the reporter contract")
            raise


def scenarios() -> dict[str, list[Envelope]]:
    """Return what a run can bring, by what is particular about it."""
    story = every_kind_of_event()
    return {
        "nothing happens": [],
        "every kind of event": story,
        "every event twice": [event for event in story for _ in range(2)],
        "the run again": story + story,
        "no beginning": story[1:],
        "end to beginning": story[::-1],
        "scores missing": [event for trial in (KNOWN, UNKNOWN) for event in events_without_scores(trial)],
        "an unknown experiment": [story[0], *events_without_scores(UNKNOWN), story[-1]],
    }


def addressed(event: Event, *, time: float) -> Envelope:
    """Return ``event`` in the envelope of a run of the toy competition."""
    return Envelope(event=event, competition="toy", run_id="run-1", host="here", user="me", time=time)


def every_kind_of_event() -> list[Envelope]:
    """Return a run of two trials, one of which fails, with at least one event of each kind; 10 seconds apart."""
    other = Trial(experiment_id=KNOWN.experiment_id, fold=1)
    row = BoardRow(name="resnet [a]", kind="experiment", score=0.25, folds_done=2, num_folds=2, epochs=2)
    events: list[Event] = [
        RunStarted(
            metric="log_loss",
            greater_is_better=False,
            experiments={KNOWN.experiment_id: "resnet [a]"},
            epochs={KNOWN.experiment_id: 2},
            hyperparameters={KNOWN.experiment_id: HYPERPARAMETERS},
            num_folds=2,
            ended=(TrialEnded(trial=UNKNOWN, status="committed", score=0.5, duration_s=3.0),),
            launcher="local",
            num_slots=1,
            run_dir=Location(RUN),
        ),
        RoundBegan(
            number=0,
            experiments={KNOWN.experiment_id: "resnet [a]"},
            epochs={KNOWN.experiment_id: 2},
            hyperparameters={KNOWN.experiment_id: HYPERPARAMETERS},
        ),
        RunWarned(topic="near_duplicates", text="near-duplicate images: 3 groups (see near_duplicates.json)"),
        RunWarned(topic="other_code", text="run run-1 was started with another version of the code (see run.json)"),
        PreparationProgressed(progress=Progress(stage="decoding images", num_done=120, num_total=2000)),
        PreparationProgressed(progress=Progress(stage="comparing images", num_done=0, num_total=0)),
        BaselineScored(score=0.69, submission=Location(f"{RUN}/submissions/baseline.csv")),
        DashboardServed(url="http://127.0.0.1:8265", asks_for_token=True),
        TrialStarted(trial=KNOWN),
        TrialProgressed(trial=KNOWN, progress=Progress(stage="computing features", num_done=32, num_total=96)),
        EpochEnded(trial=KNOWN, metrics=_epoch_metrics(1)),
        TrialWarned(trial=KNOWN, warning=_warning("exploding_gradient")),
        TrialWarned(trial=KNOWN, warning=_warning("constant_predictions")),
        EpochEnded(trial=KNOWN, metrics=_epoch_metrics(2)),
        TrialEnded(trial=KNOWN, status="committed", score=0.25, duration_s=20.0),
        SamplesDrawn(trial=KNOWN, oof="artifacts/samples/a-oof.jpg", test="artifacts/samples/a-test.jpg"),
        TrialStarted(trial=other),
        TrialEnded(trial=other, status="failed", score=None, duration_s=1.0, error="OSError: [Errno 5] bad disk"),
        RunInterrupted(
            reason="ctrl-c",
            num_committed=1,
            num_trials=2,
            how_to_resume="kaggle-ray run toy",
            how_to_ensemble="kaggle-ray ensemble toy",
        ),
        RunStalled(silent_s=1000.0),
        RunFailed(error="no experiment is complete: 1 trials failed.", how_to_resume="kaggle-ray run toy"),
        RunKilled(how_to_resume="kaggle-ray run toy"),
        EnsembleChosen(method="greedy", weights={"resnet [a]": 1.0}, score_honest=0.25, score_in_sample=0.24),
        SamplesDrawn(trial=None, oof="artifacts/samples/e-oof.jpg", test="artifacts/samples/e-test.jpg"),
        RefitEnded(submission=Location(f"{RUN}/submissions/refit.csv"), cross_validated_score=0.25),
        RunEnded(
            submission=Location(f"{RUN}/submissions/best.csv"),
            report=Location(f"{RUN}/report.html"),
            seconds=100.0,
            board=(row,),
        ),
    ]
    return [addressed(event, time=1000.0 + 10.0 * number) for number, event in enumerate(events)]


def events_without_scores(trial: Trial) -> list[Envelope]:
    """Return events whose scores and losses are missing or not numbers."""
    nan = float("nan")
    metrics = EpochMetrics(epoch=1, train_loss=nan, valid_loss=nan, score=nan, lr=0.1, duration_s=1.0)
    events: list[Event] = [
        BaselineScored(score=None, submission=None),
        TrialStarted(trial=trial),
        EpochEnded(trial=trial, metrics=metrics),
        TrialEnded(trial=trial, status="committed", score=None, duration_s=1.0),
        TrialEnded(trial=trial, status="committed", score=nan, duration_s=1.0),
        TrialEnded(trial=trial, status="stopped", score=None, duration_s=1.0),
        TrialEnded(trial=trial, status="pruned", score=None, duration_s=1.0),
        TrialEnded(trial=trial, status="failed", score=None, duration_s=1.0, error=None),
        EnsembleChosen(method="mean", weights={}, score_honest=None, score_in_sample=None),
        RefitEnded(submission=None, cross_validated_score=None, why_not="there was no time"),
        RunEnded(submission=None, report=None, seconds=0.0, board=()),
    ]
    return [addressed(event, time=1000.0 + 40.0 * number) for number, event in enumerate(events)]


def _warning(topic: str) -> TrialWarning:
    return TrialWarning(topic=topic, text=f"an anomaly: {topic} [of samples a, b]", epoch=2, step=7)


def _epoch_metrics(epoch: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch,
        train_loss=0.5 / epoch,
        valid_loss=0.6 / epoch,
        score=0.6 / epoch,
        lr=0.001,
        duration_s=8.0,
        samples_per_s=1234.5,
        resident_bytes=3 * 2**30,
        gpu_peak_bytes=None if epoch == 1 else 2**31,
        grad_norm=0.5 * epoch,
        train_score=0.5 / epoch,
        metrics={"auc": 0.75, "of <a> head.f1": 0.5},
        train_metrics={"auc": 0.875},
    )
