"""Events of a run that was never run, for tests of what shows runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BaselineScored,
    BoardRow,
    EpochEnded,
    Event,
    RunEnded,
    RunStarted,
    TrialEnded,
    TrialStarted,
)
from kaggle_ray.types import EpochMetrics, Location, Trial


def told_run(
    *, names: Mapping[str, str], num_folds: int, num_epochs: int, competition: str = "toy", run_id: str = "run-1"
) -> Iterator[Envelope]:
    """Yield the events of a run of the experiments ``names`` (id -> name), one trial after the other, 10 s an epoch."""
    time = 1_800_000_000.0
    for event in _events(names, num_folds, num_epochs):
        time += 10.0 if isinstance(event, EpochEnded) else 1.0
        yield Envelope(event=event, competition=competition, run_id=run_id, host="here", user="me", time=time)


def _events(names: Mapping[str, str], num_folds: int, num_epochs: int) -> Iterator[Event]:
    yield RunStarted(
        metric="log_loss",
        greater_is_better=False,
        experiments=names,
        epochs=dict.fromkeys(names, num_epochs),
        num_folds=num_folds,
        launcher="local",
        num_slots=1,
        run_dir=Location("runs/toy/run-1"),
    )
    yield BaselineScored(score=0.69, submission=Location("runs/toy/run-1/submissions/baseline.csv"))
    for number, experiment_id in enumerate(names):
        for fold in range(num_folds):
            trial = Trial(experiment_id=experiment_id, fold=fold)
            yield TrialStarted(trial=trial)
            for epoch in range(1, num_epochs + 1):
                yield EpochEnded(trial=trial, metrics=_metrics(epoch, num_epochs, number, fold))
            score = _score(num_epochs, num_epochs, number, fold)
            yield TrialEnded(trial=trial, status="committed", score=score, duration_s=10.0 * num_epochs)
    rows = [
        BoardRow(
            name=name,
            kind="experiment",
            score=_score(num_epochs, num_epochs, number, 0),
            score_std=0.01,
            folds_done=num_folds,
            num_folds=num_folds,
            epochs=num_epochs,
            duration_s=10.0 * num_epochs * num_folds,
        )
        for number, name in enumerate(names.values())
    ]
    yield RunEnded(
        submission=Location("runs/toy/run-1/submissions/best.csv"), report=None, seconds=100.0, board=tuple(rows)
    )


def _metrics(epoch: int, num_epochs: int, number: int, fold: int) -> EpochMetrics:
    score = _score(epoch, num_epochs, number, fold)
    return EpochMetrics(
        epoch=epoch,
        train_loss=0.9 * score,
        valid_loss=score,
        score=score,
        lr=0.001 * (1 + math.cos(math.pi * epoch / num_epochs)) / 2,
        duration_s=10.0,
        samples_per_s=1000.0 + 50 * math.sin(epoch + number),
        resident_bytes=2**30 + epoch * 2**20,
        gpu_peak_bytes=3 * 2**30 + fold * 2**26,
        grad_norm=2.0 * score,
        train_score=0.9 * score,
        metrics={"accuracy": 1.0 - 0.5 * score},
        train_metrics={"accuracy": 1.0 - 0.45 * score},
    )


def _score(epoch: int, num_epochs: int, number: int, fold: int) -> float:
    """Return a loss that falls with the epochs, wavers, and is another for each experiment and fold."""
    wave = 0.02 * math.sin(5.0 * epoch + fold)
    return 0.7 * math.exp(-3.0 * epoch / num_epochs) + 0.1 + 0.02 * number + 0.01 * fold + wave / (1 + epoch)
