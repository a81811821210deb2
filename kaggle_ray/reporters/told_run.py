"""What trackers of experiments show of a run: what its trials are called, what they are made of, what they measured."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TypeGuard

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RoundBegan, RunStarted
from kaggle_ray.types import EpochMetrics, JsonValue, Trial

Plain = bool | int | float | str
"""What a tracker's table of hyperparameters takes."""

_GIB = 2**30


class ToldRun:
    """What was told of a run as a whole, by which its trials get their names and hyperparameters."""

    def __init__(self) -> None:
        """Know nothing yet: a run of which the beginning is missing is told by its ids."""
        self._metric = ""
        self._names: dict[str, str] = {}
        self._hyperparameters: dict[str, Mapping[str, JsonValue]] = {}

    def know(self, envelope: Envelope) -> None:
        """Take note of the metric and of the experiments that an event tells."""
        match envelope.event:
            case RunStarted(metric=metric):
                self._metric = metric
        match envelope.event:
            case RunStarted() | RoundBegan():
                self._names.update(envelope.event.experiments)
                self._hyperparameters.update(envelope.event.hyperparameters)

    def name_of(self, experiment_id: str) -> str | None:
        """Return the name of an experiment, None where nobody told it."""
        return self._names.get(experiment_id)

    @property
    def score(self) -> str:
        """What the score of the competition's metric is called."""
        return f"score/{self._metric or 'metric'}"

    def hyperparameters_of(self, trial: Trial) -> dict[str, Plain]:
        """Return name -> value of a trial's hyperparameters and its fold; what is no plain value is JSON."""
        values = self._hyperparameters.get(trial.experiment_id, {})
        plain = {
            name: value if isinstance(value, bool | int | float | str) else json.dumps(value)
            for name, value in values.items()
        }
        return {**plain, "fold": trial.rows}

    def scalars_of(self, metrics: EpochMetrics) -> dict[str, float]:
        """Return name -> value of what an epoch measured; what was not measured is left out."""
        measured = {
            "loss/train": metrics.train_loss,
            "loss/valid": metrics.valid_loss,
            self.score: metrics.score,
            f"{self.score}, inner": metrics.inner_score,
            f"{self.score}, train": metrics.train_score,
            **{f"score/{name}": score for name, score in metrics.metrics.items()},
            **{f"score/{name}, train": score for name, score in metrics.train_metrics.items()},
            "lr": metrics.lr,
            "gradient norm": metrics.grad_norm,
            "speed/samples_per_s": metrics.samples_per_s,
            "speed/epoch_s": metrics.duration_s,
            "memory/process_gib": None if metrics.resident_bytes is None else metrics.resident_bytes / _GIB,
            "memory/gpu_peak_gib": None if metrics.gpu_peak_bytes is None else metrics.gpu_peak_bytes / _GIB,
        }
        return {name: value for name, value in measured.items() if is_measured(value)}


def is_measured(value: float | None) -> TypeGuard[float]:
    """Return whether there is a number to show."""
    return value is not None and not math.isnan(value)
