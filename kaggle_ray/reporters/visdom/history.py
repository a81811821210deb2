"""What a run has told so far, as far as its windows show it. Draws nothing."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import fmean, pstdev

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BoardRow,
    EpochEnded,
    PreparationProgressed,
    RunEnded,
    RunStarted,
    SamplesDrawn,
    TrialEnded,
    TrialProgressed,
    TrialStarted,
)
from kaggle_ray.reporters.lines import event_lines
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.types import EpochMetrics, Trial

NUM_NOTES = 12
"""Lines of what was last worth telling."""


_UNNOTED = (EpochEnded, PreparationProgressed, RunStarted, TrialProgressed, TrialStarted)
"""Kinds that other windows show."""


@dataclass(kw_only=True, slots=True)
class RunHistory:
    """Sums up a run's events in any order, each of them once however often it comes."""

    progress: RunProgress = field(default_factory=RunProgress)
    """How far the driver is that told last: an earlier one's pace says nothing of when this one ends."""
    epochs: dict[str, dict[Trial, dict[int, EpochMetrics]]] = field(default_factory=dict)
    """Experiment id -> its trials -> epoch -> what it measured, the last time where it was trained more than once; in
    the order in which they began."""
    further_metrics: list[str] = field(default_factory=list)
    """Names of what was measured beside the metric that decides, in the order in which they came."""
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=NUM_NOTES))
    """What was last worth telling apart from epochs, oldest first."""
    host: str = ""
    user: str = ""
    final_board: tuple[BoardRow, ...] = ()
    """The leaderboard of the run's end; empty before it."""
    samples: SamplesDrawn | None = None
    """Pictures of samples, the last that were drawn; None before the first."""
    _taken: set[tuple[str, float]] = field(default_factory=set)

    def update(self, envelope: Envelope) -> None:
        """Take in one event."""
        key = envelope.event_id, envelope.time
        if key in self._taken:
            return
        self._taken.add(key)
        event = envelope.event
        if isinstance(event, RunStarted):
            self.progress = RunProgress()
        self.progress.update(envelope)
        self.host, self.user = envelope.host, envelope.user
        match event:
            case EpochEnded(trial=trial, metrics=metrics):
                self.epochs.setdefault(trial.experiment_id, {}).setdefault(trial, {})[metrics.epoch] = metrics
                measured = dict.fromkeys([*metrics.metrics, *metrics.train_metrics])
                self.further_metrics += [name for name in measured if name not in self.further_metrics]
            case SamplesDrawn():
                self.samples = event
            case RunEnded(board=board):
                self.final_board = board
        is_noted = not isinstance(event, _UNNOTED)
        if is_noted and not (isinstance(event, TrialEnded) and event.status == "committed"):
            self.notes.extend(line.plain for line in event_lines(event, self.progress))

    def best_experiments(self, number: int) -> list[str]:
        """Return the ids of the best experiments by the mean of their folds' scores so far, in the order they began."""
        worst = -math.inf if self.progress.greater_is_better else math.inf
        scores = {each: worst if (score := self._score_so_far(each)) is None else score for each in self.epochs}
        best = sorted(scores, key=scores.__getitem__, reverse=self.progress.greater_is_better)[:number]
        return [each for each in self.epochs if each in best]

    @property
    def board(self) -> list[BoardRow]:
        """The leaderboard, best first: the run's own at its end, before that the means of the folds' scores."""
        if self.final_board:
            return list(self.final_board)
        ended: dict[str, list[tuple[float, float]]] = {}
        for trial in self.progress.ended("committed"):
            if trial.score is not None:
                ended.setdefault(trial.trial.experiment_id, []).append((trial.score, trial.duration_s))
        rows = [self._row_so_far(each, of_folds) for each, of_folds in ended.items()]
        sign = -1 if self.progress.greater_is_better else 1
        return sorted(rows, key=lambda row: (row.folds_done < row.num_folds, sign * (row.score or 0.0)))

    def _row_so_far(self, experiment_id: str, of_folds: list[tuple[float, float]]) -> BoardRow:
        scores, durations = zip(*of_folds, strict=True)
        return BoardRow(
            name=self.progress.names.get(experiment_id, experiment_id),
            kind="experiment",
            score=fmean(scores),
            score_std=pstdev(scores) if len(scores) > 1 else None,
            folds_done=len(scores),
            num_folds=self.progress.num_folds,
            epochs=self.progress.epochs.get(experiment_id, 0),
            duration_s=sum(durations),
        )

    def _score_so_far(self, experiment_id: str) -> float | None:
        """Return the mean of the folds' last scores; None before the first."""
        scores = [self._last_score(trial, epochs) for trial, epochs in self.epochs[experiment_id].items()]
        known = [score for score in scores if score is not None]
        return fmean(known) if known else None

    def _last_score(self, trial: Trial, epochs: dict[int, EpochMetrics]) -> float | None:
        ended = self.progress.trials.get(trial)
        if ended is not None and ended.score is not None:
            return ended.score
        measured = (epochs[epoch].score for epoch in sorted(epochs, reverse=True))
        return next((score for score in measured if math.isfinite(score)), None)
