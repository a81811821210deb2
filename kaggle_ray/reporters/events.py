"""Every event there is: a constructor for each kind, whose docstring lists its values, and its JSON form.

Values are JSON: floats that are NaN or infinite become None. Paths go into ``Event.artifacts``. Each constructor
takes ``time`` (seconds since the Unix epoch; now, unless given).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike, fspath
from time import time as now
from typing import Literal

from kaggle_ray.errors import SchemaVersionError, StoreError
from kaggle_ray.types import EpochMetrics, Event, EventKind, JsonValue, Trial, TrialResult, TrialStatus

SCHEMA_VERSION = 1

InterruptReason = Literal["ctrl-c", "sigterm", "deadline"]
AnyPath = str | PathLike[str]


def run_started(
    *,
    run_id: str,
    competition: str,
    metric: str,
    greater_is_better: bool,
    experiments: Mapping[str, str],
    num_folds: int,
    ended: Sequence[TrialResult],
    epochs: Mapping[str, int],
    launcher: str,
    num_slots: int,
    run_dir: AnyPath,
    time: float | None = None,
) -> Event:
    """A driver began, or resumed, a run.

    Args:
        run_id: The run's name within its competition.
        competition: The competition's name.
        metric: The name of the competition's metric.
        greater_is_better: Whether a greater score is the better one.
        experiments: Experiment id -> name, as far as known now.
        num_folds: Folds, hence trials, per experiment.
        ended: Results of the trials that are in the store already and are not run again.
        epochs: Experiment id -> epochs of each of its trials.
        launcher: The name of the launcher.
        num_slots: Trials that run at a time.
        run_dir: The run's folder; the artifact ``run_dir``.
        time: When.
    """
    values = {
        "run_id": run_id,
        "competition": competition,
        "metric": metric,
        "greater_is_better": greater_is_better,
        "experiments": experiments,
        "num_folds": num_folds,
        "ended": [{**asdict(result.trial), "status": result.status, "score": result.score} for result in ended],
        "epochs": epochs,
        "launcher": launcher,
        "num_slots": num_slots,
    }
    return _event("run_started", values, time=time, artifacts={"run_dir": run_dir})


def baseline(*, score: float | None, submission: AnyPath | None, time: float | None = None) -> Event:
    """A constant prediction was scored (``score``, honest) and written (artifact ``submission``)."""
    return _event("baseline", {"score": score}, time=time, artifacts={"submission": submission})


def trial_started(trial: Trial, *, time: float | None = None) -> Event:
    """A launcher began an attempt at a trial."""
    return _event("trial_started", {}, time=time, trial=trial)


def epoch(trial: Trial, metrics: EpochMetrics, *, time: float | None = None) -> Event:
    """A trial completed an epoch: ``train_loss``, ``valid_loss``, ``score``, ``lr``, ``duration_s`` (seconds)."""
    values = asdict(metrics)
    return _event("epoch", values, time=time, trial=trial, epoch=values.pop("epoch"))


def trial_finished(
    trial: Trial,
    *,
    status: TrialStatus,
    score: float | None,
    duration_s: float,
    error: str | None = None,
    time: float | None = None,
) -> Event:
    """A trial ended.

    Args:
        trial: Which.
        status: How.
        score: The fold's last-epoch score; None where there is none.
        duration_s: Seconds that the attempt took.
        error: One line; where status is failed.
        time: When.
    """
    values = {"status": status, "score": score, "duration_s": duration_s, "error": error}
    return _event("trial_finished", values, time=time, trial=trial)


def interrupted(
    *,
    reason: InterruptReason,
    num_committed: int,
    num_trials: int,
    how_to_resume: str,
    how_to_ensemble: str,
    time: float | None = None,
) -> Event:
    """The run stopped before its last trial.

    Args:
        reason: What stopped it.
        num_committed: Trials that are safe in the store.
        num_trials: Trials of the whole run.
        how_to_resume: The command that goes on.
        how_to_ensemble: The command that makes a submission of what is there.
        time: When.
    """
    values = {
        "reason": reason,
        "num_committed": num_committed,
        "num_trials": num_trials,
        "how_to_resume": how_to_resume,
        "how_to_ensemble": how_to_ensemble,
    }
    return _event("interrupted", values, time=time)


def ensemble(
    *,
    method: str,
    weights: Mapping[str, float],
    score_honest: float | None,
    score_in_sample: float | None,
    score_full_size: float | None = None,
    time: float | None = None,
) -> Event:
    """An ensemble was chosen.

    Args:
        method: The name of the method.
        weights: Experiment name -> weight.
        score_honest: The nested score: the figure to believe.
        score_in_sample: The score on the rows that chose it: only good for the optimism.
        score_full_size: The honest score of masks at the size of the files, where they are predicted smaller.
        time: When.
    """
    values = {
        "method": method,
        "weights": weights,
        "score_honest": score_honest,
        "score_in_sample": score_in_sample,
        "score_full_size": score_full_size,
    }
    return _event("ensemble", values, time=time)


def refit(
    *,
    submission: AnyPath | None,
    cross_validated_score: float | None,
    why_not: str | None = None,
    time: float | None = None,
) -> Event:
    """The ensemble was trained once more on all rows, or was to be.

    Args:
        submission: What it predicts; the artifact ``submission``. None where it was not finished.
        cross_validated_score: Honest score of the cross-validated ensemble with the same weights; its own is unknown.
        why_not: One line; where there is no submission.
        time: When.
    """
    values = {"cross_validated_score": cross_validated_score, "why_not": why_not}
    return _event("refit", values, time=time, artifacts={"submission": submission})


def run_finished(
    *,
    submission: AnyPath | None,
    report: AnyPath | None,
    seconds: float,
    board: Sequence[Mapping[str, JsonValue]],
    note: str | None = None,
    time: float | None = None,
) -> Event:
    """The run is complete.

    Args:
        submission: The verified submission; the artifact ``submission``.
        report: The HTML report; the artifact ``report``.
        seconds: Wall time of this driver.
        board: The leaderboard's rows, best first, as of ``kaggle_ray.report.board.Board.to_rows``.
        note: What there is to know of them.
        time: When.
    """
    values = {"seconds": seconds, "board": list(board), "note": note}
    return _event("run_finished", values, time=time, artifacts={"submission": submission, "report": report})


def event_to_json(event: Event) -> dict[str, JsonValue]:
    """Return the event as a JSON object, its event_id included."""
    return {
        "schema_version": SCHEMA_VERSION,
        "event_id": event.event_id,
        "kind": event.kind,
        "time": event.time,
        "trial": None if event.trial is None else asdict(event.trial),
        "epoch": event.epoch,
        "step": event.step,
        "values": dict(event.values),
        "artifacts": dict(event.artifacts),
    }


def event_from_json(data: Mapping[str, JsonValue]) -> Event:
    """Return the event that ``event_to_json`` wrote.

    Raises:
        SchemaVersionError: another version wrote it.
        StoreError: it is not an event.
    """
    version = data.get("schema_version") if isinstance(data, Mapping) else None
    if version != SCHEMA_VERSION:
        raise SchemaVersionError(
            f"event: expected schema_version {SCHEMA_VERSION}, got {version!r}. "
            "Read it with the kaggle_ray that wrote it."
        )
    try:
        return Event(
            kind=data["kind"],
            time=data["time"],
            trial=None if data["trial"] is None else Trial(**data["trial"]),
            epoch=data["epoch"],
            step=data["step"],
            values=data["values"],
            artifacts=data["artifacts"],
        )
    except (KeyError, TypeError) as error:
        raise StoreError(f"event: expected the fields of an event, got {sorted(data)}.") from error


def _event(
    kind: EventKind,
    values: Mapping[str, JsonValue],
    *,
    time: float | None,
    trial: Trial | None = None,
    epoch: int = 0,
    artifacts: Mapping[str, AnyPath | None] | None = None,
) -> Event:
    return Event(
        kind=kind,
        time=now() if time is None else time,
        trial=trial,
        epoch=epoch,
        values=_json_safe(values),
        artifacts={name: fspath(path) for name, path in (artifacts or {}).items() if path is not None},
    )


def _json_safe(value: JsonValue) -> JsonValue:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    return value
