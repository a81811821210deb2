"""Tune's own record of a run, for its tools and for TensorBoard, kept where the user asks for it.

The store is the truth, and nothing is ever read from this record. So it is off by default: its files say again what
the store and the run's diary say, and are written by the driver while its slots wait.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback, LoggerCallback, TBXLoggerCallback
from ray.tune.result import TIMESTEPS_TOTAL

from kaggle_ray.errors import TrialError
from kaggle_ray.launch.ray_bridge import MESSAGE, NODE, RESULT
from kaggle_ray.types import EpochMetrics, TrialMessage, TrialResult


def columns_of(told: TrialMessage | TrialResult | TrialError) -> dict[str, float | int | str]:
    """Return what Tune's tables and plots show of what a trial tells: an epoch's numbers, or the trial's at its end.

    TensorBoard draws over epochs, which Tune knows as time steps; warnings and errors have no numbers.
    """
    match told:
        case EpochMetrics():
            measured = {name: value for name, value in asdict(told).items() if value is not None}
            return {**measured, TIMESTEPS_TOTAL: told.epoch}
        case TrialResult():
            last = columns_of(told.history[-1]) if told.history else {}
            score = {} if told.score is None else {"score": told.score}
            return {**last, **score, "status": told.status}
    return {}


class _Numbers(LoggerCallback):  # type: ignore[misc]
    """Leaves out of a logger's results what is between a trial and its run alone, and results without a number."""

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Log a result as Tune's tools know it."""
        shown = {name: value for name, value in result.items() if name not in (MESSAGE, RESULT, NODE)}
        if "epoch" in shown:
            super().log_trial_result(iteration, trial, shown)


class _Csv(_Numbers, CSVLoggerCallback):  # type: ignore[misc]
    """Writes progress.csv."""


class _Json(_Numbers, JsonLoggerCallback):  # type: ignore[misc]
    """Writes result.json, from which Tune's ExperimentAnalysis is made."""


class _TensorBoard(_Numbers, TBXLoggerCallback):  # type: ignore[misc]
    """Writes TensorBoard's event files."""


def session_name(location: str) -> str:
    """Return the name of the folder of this session of a run: a session that resumes it gets one of its own."""
    competition, run_id = location.split("/")[-2:]
    return f"{competition}-{run_id}-{time.strftime('%Y%m%dT%H%M%S')}"


def result_loggers() -> list[LoggerCallback]:
    """Return the callbacks that keep Tune's own record of a run."""
    return [_Csv(), _Json(), _TensorBoard()]
