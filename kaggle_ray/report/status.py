"""How far a run is, as another process sees it by its diary, its store and its lease, its driver alive or dead."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.text import Text

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.progress import Progress
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunStarted, TrialEnded
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.reporters.live_view import counts, header, overall, preparation, running_table
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.reporters.texts import bytes_text, clock_text, one_line, plain, time_text, title_text
from kaggle_ray.reporters.trial_sums import TrialProgress
from kaggle_ray.store.lease import Holder
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import JsonValue, Trial, TrialStatus

RunState = Literal["running", "complete", "stopped", "failed", "killed"]

_SHOWN_REASONS: tuple[TrialStatus, ...] = ("failed", "pruned")
"""Statuses of trials whose reasons are listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """How far a run is, who is at work on it, and how to go on."""

    state: RunState
    """Whether a driver is at work; if not, whether all was done, a person, a limit or SIGTERM stopped it, an error
    did, or it ended without a word."""
    driver: Holder | None
    """Whoever is at work on it; None where nobody is."""
    progress: RunProgress
    """What the last driver told, and all trials that are in the store."""
    command: str
    """The command that goes on."""
    weights_bytes: int = 0
    """Bytes of its folder, or place in a bucket, that weights take now."""

    def to_json(self) -> dict[str, JsonValue]:
        """Return all of it as a JSON object; times are in seconds, points in time in those since the Unix epoch."""
        progress = self.progress
        best = progress.best
        return {
            "competition": progress.competition,
            "run_id": progress.run_id,
            "run_dir": progress.run_dir,
            "state": self.state,
            "stopped_by": progress.stopped_by,
            "error": progress.error or None,
            "driver": None if self.driver is None else asdict(self.driver),
            "metric": progress.metric,
            "greater_is_better": progress.greater_is_better,
            "num_trials": progress.num_trials,
            "num_committed": progress.num_ended("committed"),
            "num_waiting": progress.num_waiting,
            "num_epochs": progress.num_epochs,
            "num_epochs_left": progress.num_epochs_left,
            "best": None if best is None else {"score": best.score, "of": best.of},
            "eta_s": progress.eta_s if self.state == "running" else None,
            "ends_at": progress.ends_at if self.state == "running" else None,
            "last_event_at": progress.now or None,
            "preparation": _progress_json(progress.preparation),
            "running": [self._trial_json(trial) for trial in progress.running],
            "stopped": [self._trial_json(trial) for trial in progress.ended("stopped")],
            **{status: [self._trial_json(t) for t in progress.ended(status)] for status in _SHOWN_REASONS},
            "weights_bytes": self.weights_bytes,
            "command": self.command,
        }

    def view(self) -> RenderableType:
        """Return what a person is shown."""
        progress = self.progress
        parts: list[RenderableType] = [header(progress), self._driver_line()]
        if self.state == "running" and progress.pace.num_epochs:
            parts.append(overall(progress))
        parts.append(counts(progress))
        if self.weights_bytes:
            parts.append(plain(f"weights  {bytes_text(self.weights_bytes)} on the disk"))
        if self.state == "running" and progress.preparation is not None:
            parts.append(preparation(progress.preparation))
        if progress.running:
            parts.append(running_table(progress))
        parts += self._reasons()
        if self.state != "complete":
            word = "go on, should it die:" if self.state == "running" else "go on:"
            parts.append(plain(f"{word}  {self.command}"))
        return Group(*parts)

    def _driver_line(self) -> Text:
        what = {
            "running": "running",
            "complete": "complete",
            "stopped": f"stopped by {self.progress.stopped_by}",
            "failed": f"failed: {one_line(self.progress.error)}",
            "killed": "its driver ended without a word: killed, or its machine was lost",
        }[self.state]
        line = plain(what)
        line.style = {"running": "green", "complete": "green", "failed": "red"}.get(self.state, "yellow")
        if self.driver is not None:
            line.append_text(plain(f", by {self.driver}"))
        if self.progress.now:
            ago = clock_text(max(0.0, time.time() - self.progress.now))
            line.append(f"; last heard of at {time_text(self.progress.now)}, {ago} ago", style="dim")
        return line

    def _reasons(self) -> Iterator[Text]:
        for status in _SHOWN_REASONS:
            for trial in self.progress.ended(status):
                reason = one_line(trial.error or trial.reason or "no reason given")
                yield plain(f"{status}: {title_text(trial.trial, self.progress)}  {reason}")
        for trial in self.progress.ended("stopped"):
            epochs = f"{trial.epoch} of {counted(self.progress.num_epochs_of(trial.trial), 'epoch')}"
            yield plain(f"stopped: {title_text(trial.trial, self.progress)}  after {epochs}; it goes on from there")

    def _trial_json(self, trial: TrialProgress) -> dict[str, JsonValue]:
        score = trial.measured.score if trial.measured else None
        return {
            "trial": str(trial.trial),
            "name": self.progress.name_of(trial.trial),
            "fold": trial.trial.fold,
            "epoch": trial.epoch,
            "num_epochs": self.progress.num_epochs_of(trial.trial),
            "score": score if score is not None and math.isfinite(score) else None,
            "doing": _progress_json(trial.doing),
            "eta_s": self.progress.eta_of(trial),
            "last_event_at": trial.last_event_at or None,
            "reason": trial.error or trial.reason,
        }


def _progress_json(done: Progress | None) -> JsonValue:
    return None if done is None else asdict(done)


def status_of(store: RunStore) -> RunStatus:
    """Return how far a run is; nothing is written, and a driver that is at work is not disturbed.

    Raises:
        StoreError: the folder is no run, or its diary cannot be read.
    """
    record = store.known_record()
    driver = store.lease.holder()  # before the diary is read: what ends meanwhile has told so
    progress = _progress_of(store, record)
    if driver is not None:
        state: RunState = "running"
    elif progress.stopped_by is not None:
        state = "stopped"
    elif progress.error:
        state = "failed"
    else:
        state = "complete" if progress.has_ended else "killed"
    if driver is None:
        progress.cut_short()
    return RunStatus(
        state=state,
        driver=driver,
        progress=progress,
        command=progress.how_to_resume or record.command,
        weights_bytes=store.weights_bytes(),
    )


def _progress_of(store: RunStore, record: RunRecord) -> RunProgress:
    experiments = store.experiments()
    progress = RunProgress(
        competition=record.competition,
        run_id=record.run_id,
        metric=record.metric,
        greater_is_better=record.greater_is_better,
        num_folds=record.num_folds,
        names={each.experiment_id: each.name for each in experiments},
        epochs={
            each.experiment_id: parse_hyperparameters(each.hyperparameters, where=each.name).training.epochs
            for each in experiments
        },
        run_dir=store.location,
    )
    for envelope in _last_session(store):
        progress.update(envelope)
    trials = (Trial(experiment_id=each, fold=fold) for each in progress.names for fold in range(progress.num_folds))
    for result in store.results(trials).values():
        progress.settle(TrialEnded.of(result))  # it may be in the store, and its driver died before it told
    return progress


def _last_session(store: RunStore) -> list[Envelope]:
    """Return what the last driver told; nothing where none has begun to."""
    events = read_events(store.diary)
    starts = [number for number, envelope in enumerate(events) if isinstance(envelope.event, RunStarted)]
    return events[starts[-1] :] if starts else []
