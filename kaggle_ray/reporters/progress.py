"""What is known of a run from its events so far: counts, the best score, the time left. Draws nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from kaggle_ray.progress import Progress
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    EpochEnded,
    InterruptReason,
    PreparationProgressed,
    RoundBegan,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TrialEnded,
    TrialStarted,
)
from kaggle_ray.types import EpochMetrics, Trial, TrialStatus


@dataclass(kw_only=True, slots=True)
class TrialProgress:
    """How far one trial has come in this session."""

    trial: Trial
    status: Literal["running"] | TrialStatus = "running"
    epoch: int = 0
    """The last one completed; 0 before the first."""
    measured: EpochMetrics | None = None
    """What the last epoch measured."""
    score: float | None = None
    """The fold's final score; set where status is committed."""
    duration_s: float = 0.0
    error: str | None = None
    reason: str | None = None
    """Why its source stopped it; set where status is pruned."""
    last_event_at: float = 0.0
    """Seconds since the Unix epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BestScore:
    """The best score so far, and what it is a score of."""

    score: float
    of: str
    """What has the score, such as ``resnet-a, mean of 5 folds`` or ``resnet-a, fold 2 alone``."""


@dataclass(kw_only=True, slots=True)
class RunProgress:
    """Sums up events in any order; each number is of this driver's session, but for the trials that ended before."""

    competition: str = ""
    run_id: str = ""
    metric: str = "score"
    greater_is_better: bool = False
    num_folds: int = 0
    num_ended_before: int = 0
    names: dict[str, str] = field(default_factory=dict)
    """Experiment id -> name."""
    epochs: dict[str, int] = field(default_factory=dict)
    """Experiment id -> epochs of each of its trials."""
    num_to_propose: int = 0
    """Experiments that the run is to have, where a search proposes them; 0 where all are known."""
    launcher: str = ""
    num_slots: int = 0
    run_dir: str = ""
    trials: dict[Trial, TrialProgress] = field(default_factory=dict)
    """Trials that this session has heard of, the ones that ended before it among them."""
    num_epochs_trained: int = 0
    """Really trained in this session, those of a second attempt too."""
    started_at: float | None = None
    """Seconds since the Unix epoch; None before the first event."""
    now: float = 0.0
    """Time of the latest event."""
    has_started: bool = False
    """Whether the run is known, and not only that something is prepared for it."""
    preparation: Progress | None = None
    """What is being prepared; None where nothing is."""
    stopped_by: InterruptReason | None = None
    """What stopped the run before its last trial; None where nothing did."""
    error: str = ""
    """Why the driver gave up; empty where it did not."""
    has_ended: bool = False
    """Whether the driver has come to its end, with what there was time for."""
    how_to_resume: str = ""
    """The command that goes on; empty where it is not known."""

    def update(self, envelope: Envelope) -> None:
        """Take in one event."""
        if self.started_at is None:
            self.started_at = envelope.time
        self.now = max(self.now, envelope.time)
        self.competition, self.run_id = envelope.competition, envelope.run_id
        self.has_started |= not isinstance(envelope.event, PreparationProgressed)
        event = envelope.event
        match event:
            case PreparationProgressed(progress=done):
                self.preparation = done if done.num_done < done.num_total else None
            case RunStarted():
                self._start(event, envelope.time)
            case RoundBegan():
                self.names, self.epochs = {**self.names, **event.experiments}, {**self.epochs, **event.epochs}
            case TrialStarted(trial=trial):
                self._begin_again(self._heard_of(trial, envelope.time))
            case EpochEnded(trial=trial, metrics=metrics):
                of_trial = self._heard_of(trial, envelope.time)
                of_trial.epoch, of_trial.measured = metrics.epoch, metrics
                self.num_epochs_trained += 1
            case TrialEnded(trial=trial):
                self._heard_of(trial, envelope.time)
                self.settle(event)
            case RunInterrupted():
                self.stopped_by, self.how_to_resume = event.reason, event.how_to_resume
            case RunFailed():
                self.error, self.how_to_resume = event.error, event.how_to_resume
            case RunEnded():
                self.has_ended = True

    def settle(self, ended: TrialEnded) -> None:
        """Take in how a trial ended, whenever that was."""
        trial = self.trials.setdefault(ended.trial, TrialProgress(trial=ended.trial))
        trial.status, trial.duration_s = ended.status, ended.duration_s
        trial.error, trial.reason = ended.error, ended.reason
        trial.score = ended.score if ended.score is not None and math.isfinite(ended.score) else None

    def cut_short(self) -> None:
        """Take in that the driver is gone: what was under way is stopped."""
        for trial in self.running:
            trial.status = "stopped"

    def name_of(self, trial: Trial) -> str:
        """Return the name of the trial's experiment, or its id where that is unknown."""
        return self.names.get(trial.experiment_id, trial.experiment_id)

    def num_epochs_of(self, trial: Trial) -> int:
        """Return how many epochs the trial is to train; where that is unknown, those it has."""
        return self.epochs.get(trial.experiment_id, self.trials[trial].epoch if trial in self.trials else 0)

    @property
    def running(self) -> list[TrialProgress]:
        """The trials under way, by the time of their start."""
        return [trial for trial in self.trials.values() if trial.status == "running"]

    def ended(self, status: TrialStatus) -> list[TrialProgress]:
        """Return the trials that ended with ``status``."""
        return [trial for trial in self.trials.values() if trial.status == status]

    @property
    def num_waiting(self) -> int:
        """Trials of the run that nothing was heard of yet."""
        return self.num_experiments * self.num_folds - sum(map(self._is_planned, self.trials))

    @property
    def num_settled(self) -> int:
        """Trials that ended, well or not, here or in an earlier session."""
        return len(self.trials) - len(self.running)

    @property
    def num_trials(self) -> int:
        """Trials of the run, as far as known now."""
        return max(self.num_experiments * self.num_folds, len(self.trials))

    @property
    def num_experiments(self) -> int:
        """Experiments of the run, those included that a search is still to propose."""
        return max(len(self.names), self.num_to_propose)

    @property
    def num_epochs(self) -> int:
        """Epochs of all trials."""
        known = [self.epochs.get(experiment_id, 0) for experiment_id in self.names]
        to_come = (self.num_experiments - len(known)) * fmean(known) if known else 0.0  # like those that are known
        planned = round(sum(known) + to_come) * self.num_folds
        return planned + sum(self.num_epochs_of(trial) for trial in self.trials if not self._is_planned(trial))

    @property
    def num_epochs_left(self) -> int:
        """Epochs still to train, by the trials under way and by those that nothing was heard of."""
        running = sum(max(0, self.num_epochs_of(trial.trial) - trial.epoch) for trial in self.running)
        heard_of = sum(self.num_epochs_of(trial) for trial in self.trials)
        return running + self.num_epochs - heard_of

    @property
    def elapsed_s(self) -> float:
        """Wall time of this session, up to the latest event."""
        return 0.0 if self.started_at is None else self.now - self.started_at

    @property
    def eta_s(self) -> float | None:
        """Seconds left at this session's pace; None before its first epoch."""
        if not self.num_epochs_trained:
            return None
        return self.num_epochs_left * self.elapsed_s / self.num_epochs_trained

    @property
    def ends_at(self) -> float | None:
        """When the run ends at this session's pace, in seconds since the Unix epoch; None before its first epoch."""
        return None if self.eta_s is None else self.now + self.eta_s

    def eta_of(self, trial: TrialProgress) -> float | None:
        """Return the seconds from its last epoch to a running trial's end at that epoch's pace; None before it."""
        if trial.measured is None:
            return None
        return max(0, self.num_epochs_of(trial.trial) - trial.epoch) * trial.measured.duration_s

    @property
    def best(self) -> BestScore | None:
        """The best mean over all folds of an experiment; before there is one, the best single fold."""
        scores: dict[str, list[float]] = {}
        for trial in self.trials.values():
            if trial.status == "committed" and trial.score is not None:
                scores.setdefault(trial.trial.experiment_id, []).append(trial.score)
        complete = {each: of_folds for each, of_folds in scores.items() if len(of_folds) == self.num_folds}
        among = f", of {len(complete)} experiments chosen by this very score" if len(complete) > 1 else ""
        means = [
            BestScore(score=fmean(of_folds), of=f"{self.names.get(each, each)}, mean of all folds{among}")
            for each, of_folds in complete.items()
        ]
        singles = [
            BestScore(score=trial.score, of=f"{self.name_of(trial.trial)}, fold {trial.trial.fold} alone")
            for trial in self.trials.values()
            if trial.status == "committed" and trial.score is not None
        ]
        pick = max if self.greater_is_better else min
        return pick(means or singles, key=lambda best: best.score, default=None)

    def _start(self, event: RunStarted, time: float) -> None:
        self.metric, self.greater_is_better = event.metric, event.greater_is_better
        self.num_folds, self.num_ended_before = event.num_folds, len(event.ended)
        self.names, self.epochs = dict(event.experiments), dict(event.epochs)
        self.num_to_propose = event.num_experiments
        self.launcher, self.num_slots, self.run_dir = event.launcher, event.num_slots, event.run_dir
        self.started_at, self.how_to_resume = time, event.how_to_resume
        self.stopped_by, self.error, self.has_ended = None, "", False
        for ended in event.ended:
            self.settle(ended)

    def _heard_of(self, trial: Trial, time: float) -> TrialProgress:
        of_trial = self.trials.setdefault(trial, TrialProgress(trial=trial))
        of_trial.last_event_at = time
        return of_trial

    def _begin_again(self, trial: TrialProgress) -> None:
        trial.status, trial.error, trial.reason, trial.epoch, trial.measured = "running", None, None, 0, None

    def _is_planned(self, trial: Trial) -> bool:
        return trial.experiment_id in self.names and 0 <= trial.fold < self.num_folds
