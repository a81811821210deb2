"""Events of runs that tests have told to a reporter, and what is seen of them."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from kaggle_ray.progress import Progress
from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    EpochEnded,
    Event,
    PreparationProgressed,
    RunStarted,
    TrialEnded,
    TrialProgressed,
    TrialStarted,
)
from kaggle_ray.reporters.live_view import live_view
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.testing.reporter_contract import addressed
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


def progressed(which: Trial, num_done: int, *, time: float) -> Envelope:
    progress = Progress(stage="computing features", num_done=num_done, num_total=200)
    return at(time, TrialProgressed(trial=which, progress=progress))


def decoding(num_done: int, *, time: float, **changes: str) -> Envelope:
    progress = Progress(stage="decoding images", num_done=num_done, num_total=2000)
    unnamed: dict[str, Any] = {"competition": "", "run_id": "", **changes}
    return dataclasses.replace(at(time, PreparationProgressed(progress=progress)), **unnamed)


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
