"""The documents of a run, made of its events: the same events make the same documents, however often they come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from statistics import fmean, pstdev
from typing import Any

from kaggle_ray.reporters.elasticsearch.templates import Kind
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BaselineScored,
    BoardRow,
    EnsembleChosen,
    EpochEnded,
    RefitEnded,
    RoundBegan,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunKilled,
    RunStarted,
    RunWarned,
    TrialEnded,
    TrialStarted,
    TrialWarned,
)
from kaggle_ray.typed_json import is_number
from kaggle_ray.types import EpochMetrics, JsonValue, Location, Trial

Fields = dict[str, JsonValue]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One document, whole: it takes the place of what was stored under its id."""

    kind: Kind
    document_id: str
    """``user/competition/run:kind``, and where it has one ``:experiment``, ``:experiment/fold<k>`` or
    ``:experiment/fold<k>:epoch``."""
    fields: Fields


class RunDocuments:
    """What the events of one run have told of it so far, as documents.

    The user in them, and in their ids, is the one of the run's first event: a run that somebody else resumes stays one
    run, and two people's runs of the same name, for the same experiments have the same name, stay two.
    """

    def __init__(self, first: Envelope) -> None:
        """Begin with the run of this event, of which nothing is told yet."""
        self._of_run: Fields = {"competition": first.competition, "run_id": first.run_id, "user": first.user}
        self._name = f"{first.user}/{first.competition}/{first.run_id}"
        self._known: dict[tuple[Kind, str], Fields] = {}
        self._changed: dict[tuple[Kind, str], None] = {}

    def update(self, envelope: Envelope) -> list[Document]:
        """Take in one event; return the documents that it changes."""
        self._changed = {}
        self._take_in(envelope)
        of_event: Fields = {
            "@timestamp": _date(envelope.time),
            "event_id": envelope.event_id,
            "host": envelope.host,
        }
        return [
            Document(
                kind=kind,
                document_id=f"{self._name}:{kind}" + (f":{key}" if key else ""),
                fields={**self._of_run, **of_event, "kind": kind, **self._told_of(kind, key)},
            )
            for kind, key in self._changed
        ]

    def _told_of(self, kind: Kind, key: str) -> Fields:
        # an epoch changes no more, and there are too many of them to be kept
        return self._known.pop((kind, key)) if kind == "epoch" else self._known[kind, key]

    def _take_in(self, envelope: Envelope) -> None:
        event, at = envelope.event, _date(envelope.time)
        match event:
            case RunStarted():
                self._start(event, at)
            case RoundBegan():
                self._add_experiments(event)
            case RunWarned(text=text):
                self._warn("run", "", text)
            case BaselineScored():
                self._submission("baseline", event.submission, event.score)
            case TrialStarted(trial=trial):
                again = dict.fromkeys(("ended_at", "score", "duration_s", "error", "reason"))
                self._trial(trial, status="running", started_at=at, epoch=0, **again)
            case EpochEnded(trial=trial, metrics=metrics):
                self._say("epoch", f"{trial}:{metrics.epoch}", **self._identity(trial), **_measured(metrics))
                self._trial(trial, epoch=metrics.epoch)
            case TrialWarned(trial=trial, warning=warning):
                self._trial(trial)
                self._warn("trial", str(trial), warning.text)
            case TrialEnded():
                self._settle(event, ended_at=at)
            case RunInterrupted(reason=reason, how_to_resume=command):
                self._say("run", status="stopped", ended_at=at, error=f"stopped by {reason}", how_to_resume=command)
                self._cut_short()
            case RunKilled(how_to_resume=command):
                self._say("run", status="killed", ended_at=at, how_to_resume=command)
                self._cut_short()
            case RunFailed(error=error, how_to_resume=command):
                self._say("run", status="failed", ended_at=at, error=error, how_to_resume=command)
                self._cut_short()
            case EnsembleChosen():
                self._ensemble(event)
            case RefitEnded():
                self._submission("refit", event.submission, None, error=event.why_not)
            case RunEnded():
                self._end(event, at)

    def _start(self, event: RunStarted, at: str) -> None:
        self._of_run |= {"metric": event.metric, "greater_is_better": event.greater_is_better}
        self._cut_short()  # what the session before, which may have been killed, had under way
        began = self._known.get(("run", ""), {}).get("started_at")
        self._say(
            "run",
            status="running",
            started_at=began or at,
            ended_at=None,
            error=None,
            num_folds=event.num_folds,
            num_experiments=max(event.num_experiments, len(event.experiments)),
            launcher=event.launcher,
            num_slots=event.num_slots,
            run_dir=event.run_dir,
            how_to_resume=event.how_to_resume,
        )
        self._add_experiments(event)
        for ended in event.ended:
            self._settle(ended)

    def _add_experiments(self, event: RunStarted | RoundBegan) -> None:
        for experiment_id, name in event.experiments.items():
            hyperparameters = event.hyperparameters.get(experiment_id, {})
            self._say(
                "experiment",
                experiment_id,
                experiment_id=experiment_id,
                name=name,
                epochs=event.epochs.get(experiment_id),
                num_folds=self._num_folds,
                hyperparameters=hyperparameters,
                numeric_hyperparameters={
                    name: float(value) for name, value in hyperparameters.items() if is_number(value)
                },
                categorical_hyperparameters=_words(hyperparameters),
            )
            self._sum_up(experiment_id)

    def _settle(self, ended: TrialEnded, **when: JsonValue) -> None:
        """Take in how a trial ended; when, too, where that was told."""
        self._trial(
            ended.trial,
            status=ended.status,
            score=_finite(ended.score),
            duration_s=ended.duration_s,
            error=ended.error,
            reason=ended.reason,
            **when,
        )
        if ended.trial.fold >= 0:
            self._sum_up(ended.trial.experiment_id)

    def _sum_up(self, experiment_id: str) -> None:
        """Say of an experiment what its folds come to: the mean of their scores stands until the run has ended."""
        trials = [
            self._known.get(("trial", str(Trial(experiment_id=experiment_id, fold=fold))), {})
            for fold in range(self._num_folds)
        ]
        committed = [trial for trial in trials if trial.get("status") == "committed"]
        scores = [score for trial in committed if isinstance(score := trial.get("score"), float)]
        is_complete = len(scores) == self._num_folds > 0
        self._say(
            "experiment",
            experiment_id,
            experiment_id=experiment_id,
            name=self._name_of(experiment_id),
            folds_done=len(committed),
            duration_s=sum(seconds for trial in trials if isinstance(seconds := trial.get("duration_s"), float)),
            score_std=pstdev(scores) if len(scores) > 1 else None,
            error=next((why for trial in trials if (why := trial.get("error") or trial.get("reason"))), None),
        )
        self._score(experiment_id, fmean(scores) if is_complete else None, of="mean of folds")

    def _score(self, experiment_id: str, score: float | None, *, of: str) -> None:
        sign = 1.0 if self._of_run.get("greater_is_better") else -1.0
        known = None if score is None else {"score": score, "score_of": of, "rank_by": sign * score}
        self._say("experiment", experiment_id, **(known or dict.fromkeys(("score", "score_of", "rank_by"))))

    def _end(self, event: RunEnded, at: str) -> None:
        self._say(
            "run",
            status="complete",
            ended_at=at,
            duration_s=event.seconds,
            note=event.note,
            submission=event.submission,
            report=event.report,
        )
        ensemble = next((row for row in event.board if row.is_submitted), None)
        self._submission("ensemble", event.submission, None if ensemble is None else ensemble.score)
        rows = {row.name: row for row in event.board if row.kind == "experiment"}
        for experiment_id in [key for kind, key in self._known if kind == "experiment"]:
            if row := rows.get(str(self._name_of(experiment_id))):
                self._rank(experiment_id, row)

    def _rank(self, experiment_id: str, row: BoardRow) -> None:
        self._say("experiment", experiment_id, weight=_finite(row.weight), error=row.error)
        self._score(experiment_id, _finite(row.score), of="all rows")

    def _ensemble(self, event: EnsembleChosen) -> None:
        score = _finite(event.score_honest)
        self._say(
            "ensemble",
            method=event.method,
            combiner=event.combiner,
            weights=_finite(event.weights),
            num_members=sum(weight != 0 for weight in event.weights.values()),
            score=score,
            standard_error=_finite(event.standard_error),
            score_in_sample=_finite(event.score_in_sample),
            score_full_size=_finite(event.score_full_size),
        )
        self._say("run", score=score)

    def _submission(
        self, name: str, location: Location | None, score: float | None, *, error: str | None = None
    ) -> None:
        if location is not None or error is not None:
            self._say("submission", name, name=name, location=location, score=_finite(score), error=error)

    def _cut_short(self) -> None:
        """Say of all trials under way that they are stopped."""
        for (kind, key), known in list(self._known.items()):
            if kind == "trial" and known.get("status") == "running":
                self._say(kind, key, status="stopped")

    def _trial(self, trial: Trial, **told: JsonValue) -> None:
        epochs = self._known.get(("experiment", trial.experiment_id), {}).get("epochs")
        self._say("trial", str(trial), **self._identity(trial), epochs=epochs, **told)

    def _identity(self, trial: Trial) -> Fields:
        return {
            "experiment_id": trial.experiment_id,
            "name": self._name_of(trial.experiment_id),
            "rows": trial.rows,
            "fold": trial.fold if trial.fold >= 0 else None,
        }

    def _warn(self, kind: Kind, key: str, text: str) -> None:
        warnings = self._known.get((kind, key), {}).get("warnings", ())
        assert isinstance(warnings, tuple)
        self._say(kind, key, warnings=warnings if text in warnings else (*warnings, text))

    def _say(self, kind: Kind, key: str = "", /, **told: JsonValue) -> None:
        self._known.setdefault((kind, key), {}).update(told)
        self._changed[kind, key] = None

    def _name_of(self, experiment_id: str) -> JsonValue:
        return self._known.get(("experiment", experiment_id), {}).get("name", experiment_id)

    @property
    def _num_folds(self) -> int:
        num_folds = self._known.get(("run", ""), {}).get("num_folds", 0)
        return num_folds if isinstance(num_folds, int) else 0


def _measured(metrics: EpochMetrics) -> Fields:
    return {spec.name: _finite(getattr(metrics, spec.name)) for spec in fields(metrics)}


def _words(values: Mapping[str, JsonValue]) -> Fields:
    """Return the values that are words, or true or false: a chart's axis takes no lists."""
    return {
        name: value if isinstance(value, str) else str(value).lower()
        for name, value in values.items()
        if isinstance(value, str | bool)
    }


def _finite(value: Any) -> Any:
    """Return a number, or numbers by their names; None in place of one that JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
