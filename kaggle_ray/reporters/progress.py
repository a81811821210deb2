"""What is known of a run from its events so far: counts, the best score, the time left. Draws nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kaggle_ray.counted import counted
from kaggle_ray.progress import Progress
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    EnsembleChosen,
    EpochEnded,
    InterruptReason,
    PreparationProgressed,
    RoundBegan,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunKilled,
    RunStarted,
    TrialEnded,
    TrialProgressed,
    TrialStarted,
)
from kaggle_ray.reporters.pace import Pace
from kaggle_ray.reporters.trial_sums import TrialProgress, TrialSums
from kaggle_ray.types import Trial, TrialStatus


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
    pace: Pace = field(default_factory=Pace)
    """How fast this session trains."""
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
    _sums: TrialSums = field(init=False, repr=False)
    _num_epochs_of_fold: int = field(init=False, default=0)
    """Epochs of one fold of each experiment that is known."""
    _cost_of_fold: float = field(init=False, default=0.0)
    """What these cost."""

    def __post_init__(self) -> None:
        """Sum up what is known already."""
        self._sum_up()

    def update(self, envelope: Envelope) -> None:
        """Take in one event."""
        if self.started_at is None:
            self.started_at = envelope.time
        self.now = max(self.now, envelope.time)
        self.competition, self.run_id = envelope.competition, envelope.run_id
        self.has_started |= not isinstance(envelope.event, PreparationProgressed)
        event = envelope.event
        if isinstance(event, EnsembleChosen | RunInterrupted | RunKilled | RunFailed | RunEnded):
            self.preparation = None
        match event:
            case PreparationProgressed(progress=done):
                self.preparation = None if _is_over(done) else done
            case RunStarted():
                self._start(event, envelope.time)
            case RoundBegan():
                self._add(event)
            case TrialStarted(trial=trial):
                with self._changed(trial) as of_trial:
                    of_trial.status, of_trial.error, of_trial.reason = "running", None, None
                    of_trial.epoch, of_trial.measured, of_trial.last_event_at = 0, None, envelope.time
                    of_trial.since, of_trial.doing = envelope.time, None
            case TrialProgressed(trial=trial, progress=done):
                with self._changed(trial) as of_trial:
                    of_trial.last_event_at = envelope.time
                    of_trial.doing = None if _is_over(done) or of_trial.status != "running" else done
            case EpochEnded(trial=trial, metrics=metrics):
                with self._changed(trial) as of_trial:
                    self.pace.add(
                        trial.experiment_id, metrics.epoch, duration_s=metrics.duration_s,
                        since=of_trial.since, ended_at=envelope.time,
                    )  # fmt: skip
                    of_trial.epoch, of_trial.measured, of_trial.last_event_at = metrics.epoch, metrics, envelope.time
                    of_trial.since, of_trial.doing = envelope.time, None
            case TrialEnded(trial=trial):
                self.settle(event)
                self.trials[trial].last_event_at = envelope.time
            case RunInterrupted():
                self.stopped_by, self.how_to_resume = event.reason, event.how_to_resume
            case RunKilled():
                self.how_to_resume = event.how_to_resume
            case RunFailed():
                self.error, self.how_to_resume = event.error, event.how_to_resume
            case RunEnded():
                self.has_ended = True

    def settle(self, ended: TrialEnded) -> None:
        """Take in how a trial ended, whenever that was."""
        with self._changed(ended.trial) as trial:
            trial.status, trial.duration_s, trial.doing = ended.status, ended.duration_s, None
            trial.error, trial.reason = ended.error, ended.reason
            trial.score = ended.score if ended.score is not None and math.isfinite(ended.score) else None

    def cut_short(self) -> None:
        """Take in that the driver is gone: what was under way is stopped."""
        self.preparation = None
        for running in self.running:
            with self._changed(running.trial) as trial:
                trial.status, trial.doing = "stopped", None

    def name_of(self, trial: Trial) -> str:
        """Return the name of the trial's experiment, or its id where that is unknown."""
        return self.names.get(trial.experiment_id, trial.experiment_id)

    def num_epochs_of(self, trial: Trial) -> int:
        """Return how many epochs the trial is to train; where that is unknown, those it has."""
        return self.epochs.get(trial.experiment_id, self.trials[trial].epoch if trial in self.trials else 0)

    @property
    def running(self) -> list[TrialProgress]:
        """The trials under way, by the time of their start."""
        return list(self._sums.running.values())

    def ended(self, status: TrialStatus) -> list[TrialProgress]:
        """Return the trials that ended with ``status``."""
        return [trial for trial in self.trials.values() if trial.status == status]

    def num_ended(self, status: TrialStatus) -> int:
        """Return how many trials ended with ``status``."""
        return self._sums.num_with[status]

    @property
    def num_waiting(self) -> int:
        """Trials of the run that nothing was heard of yet."""
        return self.num_experiments * self.num_folds - (len(self.trials) - len(self._sums.unplanned))

    @property
    def num_settled(self) -> int:
        """Trials that ended, well or not, here or in an earlier session."""
        return len(self.trials) - len(self._sums.running)

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
        """Epochs of all trials; experiments that are still to be proposed are like those that are known."""
        num_known = len(self.names)
        planned = round(self._num_epochs_of_fold * self.num_experiments / num_known) if num_known else 0
        return planned * self.num_folds + self._sums.num_epochs_unplanned

    @property
    def num_epochs_left(self) -> int:
        """Epochs still to train, by the trials under way and by those that nothing was heard of."""
        return self._sums.num_epochs_left + self.num_epochs - self._sums.num_epochs

    @property
    def elapsed_s(self) -> float:
        """Wall time of this session, up to the latest event."""
        return 0.0 if self.started_at is None else self.now - self.started_at

    @property
    def eta_s(self) -> float | None:
        """Seconds of training left at this session's pace, with the features before it; None before its first epoch."""
        return self.pace.seconds_left(
            self._cost_left,
            now=self.now,
            num_at_once=max(1, min(self.num_slots, len(self.running) + self.num_waiting)),
            running=((each.trial.experiment_id, each.epoch + 1, each.since) for each in self.running),
        )

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
        means, singles = self._sums.means, self._sums.singles
        if best_mean := means.best():
            experiment_id, score = best_mean
            among = f", of {counted(len(means), 'experiment')} chosen by this very score" if len(means) > 1 else ""
            name = self.names.get(experiment_id, experiment_id)
            return BestScore(score=score, of=f"{name}, mean of all folds{among}")
        if best_single := singles.best():
            trial, score = best_single
            return BestScore(score=score, of=f"{self.name_of(trial)}, fold {trial.fold} alone")
        return None

    @property
    def _cost_left(self) -> float:
        """What ``num_epochs_left`` cost."""
        num_known = len(self.names)
        planned = self._cost_of_fold * self.num_experiments / num_known * self.num_folds if num_known else 0.0
        return self._sums.cost_left + planned + self._sums.cost_unplanned - self._sums.cost

    def _start(self, event: RunStarted, time: float) -> None:
        self.metric, self.greater_is_better = event.metric, event.greater_is_better
        self.num_folds, self.num_ended_before = event.num_folds, len(event.ended)
        self.names, self.epochs = dict(event.experiments), dict(event.epochs)
        self.num_to_propose = event.num_experiments
        self.launcher, self.num_slots, self.run_dir = event.launcher, event.num_slots, event.run_dir
        self.started_at, self.how_to_resume = time, event.how_to_resume
        self.stopped_by, self.error, self.has_ended = None, "", False
        self.pace = Pace(costs=event.epoch_costs, feature_costs=event.feature_costs)
        self._sum_up()
        for ended in event.ended:
            self.settle(ended)

    def _add(self, event: RoundBegan) -> None:
        """Take in what a round proposed; trials of it may have been heard of already."""
        for experiment_id in event.experiments.keys() - self.names.keys():
            num_epochs = event.epochs.get(experiment_id, 0)
            self._num_epochs_of_fold += num_epochs
            self._cost_of_fold += num_epochs * self.pace.cost_of(experiment_id)
        self.names.update(event.experiments)
        self.epochs.update(event.epochs)
        for trial in [*self._sums.unplanned.values()]:
            self._put(trial)

    def _sum_up(self) -> None:
        """Sum up all trials anew: what is known of the run has changed."""
        self._num_epochs_of_fold = sum(self.epochs.get(each, 0) for each in self.names)
        self._cost_of_fold = sum(self.epochs.get(each, 0) * self.pace.cost_of(each) for each in self.names)
        self._sums = TrialSums(num_folds=self.num_folds, greater_is_better=self.greater_is_better)
        for trial in self.trials.values():
            self._put(trial)

    @contextmanager
    def _changed(self, trial: Trial) -> Iterator[TrialProgress]:
        """Yield what is known of a trial, to be changed within the context."""
        of_trial = self.trials.setdefault(trial, TrialProgress(trial=trial, since=self.now))
        yield of_trial
        self._put(of_trial)

    def _put(self, of_trial: TrialProgress) -> None:
        trial = of_trial.trial
        is_planned = trial.experiment_id in self.names and 0 <= trial.fold < self.num_folds
        self._sums.put(
            of_trial,
            num_epochs=self.num_epochs_of(trial),
            epoch_cost=self.pace.cost_of(trial.experiment_id),
            is_planned=is_planned,
        )


def _is_over(done: Progress) -> bool:
    return done.num_done == done.num_total > 0
