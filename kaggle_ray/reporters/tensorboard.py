"""TensorBoard's event files: a folder for each trial, with curves over the epochs and hyperparameters.

Nothing in an event file is ever replaced. Where a process begins to tell of a trial, or tells an epoch again as after a
crash, it marks the place as TensorBoard knows it, which drops from the curves what was told before of that epoch and of
those after it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EnsembleChosen, EpochEnded, SamplesDrawn, TrialEnded, TrialStarted
from kaggle_ray.reporters.pictures import SamplePicture, pictures_of
from kaggle_ray.reporters.sink import MakeSink, ReadArtifact, Sink
from kaggle_ray.reporters.told_run import ToldRun, is_measured
from kaggle_ray.types import EpochMetrics

_SETTINGS = ("folder",)
_NUMBERS_OF_FILES = count()


class TensorBoardSink:
    """Writes ``<folder>/<competition>/<run>/<experiment>/<fold>/``, and the ensembles' scores beside the trials."""

    name = "tensorboard"

    def __init__(self, folder: Path, read_artifact: ReadArtifact) -> None:
        """Write below ``folder``, which is made with the first event, with the pictures of ``read_artifact``."""
        self._folder, self._read_artifact = folder, read_artifact
        self._run = ToldRun()
        self._logs: dict[Path, _Log] = {}

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Take note of the experiments, and of the epochs that are in the files."""
        for envelope in envelopes:
            self._run.know(envelope)
            if isinstance(envelope.event, EpochEnded):
                self._log_of(envelope).note(envelope.epoch, envelope.time)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Write what the events say, and have it on the disk. Raises OSError, as of one that is full."""
        touched: dict[_Log, None] = {}
        try:
            for envelope in envelopes:
                self._run.know(envelope)
                if isinstance(envelope.event, TrialStarted | EpochEnded | TrialEnded | EnsembleChosen | SamplesDrawn):
                    log = self._log_of(envelope)
                    touched[log] = None
                    self._write(log, envelope)
            for log in touched:
                log.flush()
        except OSError:
            for log in touched:  # nobody knows what of them is in their files
                log.forget()
            raise

    def close(self) -> None:
        """Close the files."""
        for log in self._logs.values():
            log.close()

    def _log_of(self, envelope: Envelope) -> _Log:
        folder = self._folder / _safe(envelope.competition) / _safe(envelope.run_id)
        if (trial := envelope.trial) is None:
            folder /= "ensemble"
        else:
            folder = folder / self._folder_of(trial.experiment_id) / trial.rows
        return self._logs.setdefault(folder, _Log(folder))

    def _folder_of(self, experiment_id: str) -> str:
        name = self._run.name_of(experiment_id)
        return f"{_safe(name)[:64]}-{experiment_id[:6]}" if name else experiment_id

    def _write(self, log: _Log, envelope: Envelope) -> None:
        match envelope.event:
            case TrialStarted(trial=trial):
                log.write_start(self._run.hyperparameters_of(trial), self._run.score, envelope.time)
            case EpochEnded(metrics=metrics):
                log.write_epoch(metrics, self._run.scalars_of(metrics), envelope.time)
            case TrialEnded(score=score):
                log.write_end({"final/score": score} if is_measured(score) else {}, envelope.time)
            case EnsembleChosen(score_honest=score) if is_measured(score):
                log.write_scalars({f"{self._run.score}, ensemble": score}, 0, envelope.time)
            case SamplesDrawn():
                log.write_pictures(pictures_of(envelope.event, self._read_artifact), envelope.time)


class _Log:
    """One folder of event files, of which this process writes the last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._is_marked = False
        self._told_at: dict[int, float] = {}
        """Epoch -> when the event happened that told of it."""

    def note(self, epoch: int, time: float) -> None:
        """Know that the files have an epoch, and nothing that they had after it."""
        self._told_at = {other: at for other, at in self._told_at.items() if other < epoch} | {epoch: time}

    def write_epoch(self, metrics: EpochMetrics, scalars: Mapping[str, float], time: float) -> None:
        """Write the scalars of an epoch, unless the files have this very event."""
        if self._told_at.get(metrics.epoch) == time:
            return
        if not self._is_marked or any(epoch >= metrics.epoch for epoch in self._told_at):
            self._mark(metrics.epoch, time)
        self.write_scalars(scalars, metrics.epoch, time)
        self.note(metrics.epoch, time)

    def write_scalars(self, scalars: Mapping[str, float], step: int, time: float) -> None:
        """Write numbers at a step."""
        from tensorboardX.summary import scalar

        for tag, value in scalars.items():
            self._add(time, step=step, summary=scalar(tag, value))

    def write_pictures(self, pictures: Sequence[SamplePicture], time: float) -> None:
        """Write pictures at the step after the last epoch, in place of those that are there; the file is closed."""
        from tensorboardX.proto.summary_pb2 import Summary

        step = max(self._told_at, default=0) + 1
        self._mark(step, time)
        for each in pictures:
            image = Summary.Image(height=each.height, width=each.width, colorspace=3, encoded_image_string=each.jpeg)
            self._add(time, step=step, summary=Summary(value=[Summary.Value(tag=f"samples/{each.name}", image=image)]))
        self.close()

    def write_start(self, hyperparameters: Mapping[str, Any], score: str, time: float) -> None:
        """Write the hyperparameters, and by which tag the trial is scored."""
        from tensorboardX.summary import hparams

        experiment, start, _ = hparams(hyperparameters, {score: 0.0})
        self._add(time, summary=experiment)
        self._add(time, summary=start)

    def write_end(self, scalars: Mapping[str, float], time: float) -> None:
        """Write that the trial has ended, with its last numbers."""
        from tensorboardX.summary import hparams

        self.write_scalars(scalars, max(self._told_at, default=0), time)
        *_, end = hparams({}, {})
        self._add(time, summary=end)
        self.close()

    def flush(self) -> None:
        """Have what was written on the disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Close the file; the next word is in a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer, self._is_marked = None, False

    def forget(self) -> None:
        """Begin a new file, and write in it whatever comes."""
        self._writer, self._is_marked, self._told_at = None, False, {}

    def _mark(self, epoch: int, time: float) -> None:
        """Have what follows take the place of what was told of ``epoch`` and of those after it."""
        from tensorboardX.proto.event_pb2 import SessionLog

        self._add(time, step=epoch, session_log=SessionLog(status=SessionLog.START))
        self._is_marked = True

    def _add(self, time: float, **parts: Any) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event

        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Two files that are begun within a second would have one name.
            suffix = f".{os.getpid()}.{next(_NUMBERS_OF_FILES)}"
            self._writer = EventsWriter(str(self._folder / "events"), suffix)
        self._writer.write_event(Event(wall_time=time, **parts))


def make_sink(settings: Mapping[str, str], read_artifact: ReadArtifact) -> TensorBoardSink:
    """Return the sink of settings: ``folder``, below which the files are, ``tensorboard`` where it is not set.

    Raises:
        ConfigError: a setting is unknown.
    """
    for given in settings:
        if given not in _SETTINGS:
            raise ConfigError(f"tensorboard: unknown setting {given!r}{suggest(given, _SETTINGS)}")
    return TensorBoardSink(Path(settings.get("folder", "tensorboard")), read_artifact)


_TENSORBOARD_IS_A_SINK: type[Sink] = TensorBoardSink
_MAKES_A_SINK: MakeSink = make_sink


def _safe(name: str) -> str:
    """Return a name as that of one folder."""
    return re.sub(r"[^A-Za-z0-9._=+-]+", "-", name).strip("-.") or "-"
