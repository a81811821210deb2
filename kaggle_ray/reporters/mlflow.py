"""Runs of MLflow: one for a run, and within it one for each trial, with its curves and hyperparameters.

MLflow gives its runs ids of its own, so that ours are found by a tag. Its databases keep a number once that is told
again with the same time, as after a driver was killed; an epoch that is trained again keeps its first numbers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    EnsembleChosen,
    EpochEnded,
    RunEnded,
    RunFailed,
    RunInterrupted,
    SamplesDrawn,
    TrialEnded,
    TrialStarted,
)
from kaggle_ray.reporters.pictures import picture_files, pictures_of
from kaggle_ray.reporters.sink import MakeSink, ReadArtifact, Sink
from kaggle_ray.reporters.told_run import ToldRun, is_measured
from kaggle_ray.types import Trial, TrialStatus

_SETTINGS = ("tracking_uri", "experiment")
_TAG = "kaggle_ray.key"
_STATUS: Mapping[TrialStatus, str] = {
    "committed": "FINISHED",
    "pruned": "FINISHED",
    "stopped": "KILLED",
    "failed": "FAILED",
}


class MlflowSink:
    """Writes to a tracking server, or to a database on this machine; an MLflow experiment is a competition."""

    name = "mlflow"

    def __init__(self, *, tracking_uri: str | None, experiment: str | None, read_artifact: ReadArtifact) -> None:
        """Write to ``tracking_uri``, by default where MLflow itself would; nothing is reached for yet."""
        self._tracking_uri, self._experiment, self._read_artifact = tracking_uri, experiment, read_artifact
        self._run = ToldRun()
        self._client: Any = None
        self._ids: dict[str, str] = {}
        self._told: set[tuple[Trial, int]] = set()
        """Trials and their epochs that MLflow has."""

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Take note of the experiments, and of the epochs that MLflow has."""
        for envelope in envelopes:
            self._run.know(envelope)
            if isinstance(envelope.event, EpochEnded):
                self._told.add((envelope.event.trial, envelope.epoch))

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Write what the events say. Raises what MLflow's client raises."""
        self._client = self._client or _connected(self._tracking_uri)
        for envelope in envelopes:
            self._run.know(envelope)
            self._write(envelope)

    def close(self) -> None:
        """Let go of the client; each call had a connection of its own."""
        self._client = None

    def _write(self, envelope: Envelope) -> None:
        match envelope.event:
            case TrialStarted():
                self._client.update_run(self._id_of(envelope), status="RUNNING")
            case EpochEnded(trial=trial, metrics=metrics):
                if (trial, metrics.epoch) not in self._told:
                    self._log(envelope, self._run.scalars_of(metrics), step=metrics.epoch)
                    self._told.add((trial, metrics.epoch))
            case TrialEnded(trial=trial, status=status, score=score):
                last = max((epoch for told, epoch in self._told if told == trial), default=0)
                self._log(envelope, {"final/score": score} if is_measured(score) else {}, step=last)
                self._end(envelope, _STATUS[status])
            case EnsembleChosen(score_honest=score) if is_measured(score):
                self._log(envelope, {f"{self._run.score}, ensemble": score}, step=0)
            case SamplesDrawn():
                with picture_files(pictures_of(envelope.event, self._read_artifact)) as files:
                    for _, file in files:
                        self._client.log_artifact(self._id_of(envelope), str(file), "samples")
            case RunEnded():
                self._end(envelope, "FINISHED")
            case RunFailed():
                self._end(envelope, "FAILED")
            case RunInterrupted():
                self._end(envelope, "KILLED")

    def _log(self, envelope: Envelope, scalars: Mapping[str, float], *, step: int) -> None:
        from mlflow.entities import Metric

        at = _milliseconds(envelope)
        metrics = [Metric(_valid(name), value, at, step) for name, value in scalars.items()]
        self._client.log_batch(self._id_of(envelope), metrics=metrics)

    def _end(self, envelope: Envelope, status: str) -> None:
        self._client.set_terminated(self._id_of(envelope), status, _milliseconds(envelope))

    def _id_of(self, envelope: Envelope) -> str:
        """Return the id of MLflow's run for an event's trial, or for the run as a whole, which is begun if absent."""
        return self._open(envelope, envelope.trial)

    def _open(self, envelope: Envelope, trial: Trial | None) -> str:
        key = f"{envelope.user}/{envelope.competition}/{envelope.run_id}/{trial or 'run'}".replace("'", "_")
        if key not in self._ids:
            experiment_id = self._experiment_id(self._experiment or envelope.competition)
            found = self._client.search_runs([experiment_id], f"tags.`{_TAG}` = '{key}'", max_results=1)
            self._ids[key] = found[0].info.run_id if found else self._create(experiment_id, key, envelope, trial)
        return self._ids[key]

    def _create(self, experiment_id: str, key: str, envelope: Envelope, trial: Trial | None) -> str:
        from mlflow.entities import Param

        tags, name = {_TAG: key, "mlflow.user": envelope.user, "host": envelope.host}, envelope.run_id
        if trial is not None:
            tags["mlflow.parentRunId"] = self._open(envelope, None)
            name = f"{self._run.name_of(trial.experiment_id) or trial.experiment_id} {trial.rows}"
        made = self._client.create_run(experiment_id, start_time=_milliseconds(envelope), tags=tags, run_name=name)
        run_id: str = made.info.run_id
        if trial is not None:
            values = self._run.hyperparameters_of(trial)
            self._client.log_batch(run_id, params=[Param(_valid(each), str(value)) for each, value in values.items()])
        return run_id

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        experiment_id: str = found.experiment_id if found else self._client.create_experiment(name)
        return experiment_id


def make_sink(settings: Mapping[str, str], read_artifact: ReadArtifact) -> MlflowSink:
    """Return the sink of settings: ``tracking_uri``, and ``experiment``, which is the competition where it is not set.

    Raises:
        ConfigError: a setting is unknown.
    """
    for given in settings:
        if given not in _SETTINGS:
            raise ConfigError(f"mlflow: unknown setting {given!r}{suggest(given, _SETTINGS)}")
    return MlflowSink(
        tracking_uri=settings.get("tracking_uri"), experiment=settings.get("experiment"), read_artifact=read_artifact
    )


_MLFLOW_IS_A_SINK: type[Sink] = MlflowSink
_MAKES_A_SINK: MakeSink = make_sink


def _connected(tracking_uri: str | None) -> Any:
    # MLflow would tell its makers what it is used for, and print the address of each run that ends.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri)


def _milliseconds(envelope: Envelope) -> int:
    return round(envelope.time * 1000)


def _valid(name: str) -> str:
    """Return a name with the letters that MLflow allows in one."""
    return re.sub(r"[^\w\-./: ]", "_", name)
