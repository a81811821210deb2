"""A source of trials that goes on in rounds: each one's experiments are proposed when all trials before have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kaggle_ray.schedule.propose import Proposer, Scored
from kaggle_ray.schedule.source import Continue, Done, Ended, ListSource, TrialSource, Wait
from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult

BeginRound = Callable[[int, Sequence[Experiment]], None]
"""Writes down what a round adds, before anything depends on it."""


class SearchSource:
    """Every fold of every experiment of a round, then the next round, until nothing more is proposed.

    The rounds that a run has begun are as they were written down, so that a resume decides nothing anew.
    """

    def __init__(
        self,
        proposer: Proposer,
        num_folds: int,
        ended: Ended,
        *,
        num_begun: int,
        begun: Sequence[Experiment],
        begin_round: BeginRound,
    ) -> None:
        """Go on after ``num_begun`` rounds, whose experiments have ``begun``.

        The trials that ``ended`` knows a result of are not run again.
        """
        self._proposer = proposer
        self._num_folds = num_folds
        self._ended = ended
        self._begin_round = begin_round
        self._num_rounds = num_begun
        self._experiments = list(begun)
        self._list = ListSource(self._experiments, num_folds, ended)
        self._results = list(self._list.results)

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results so far, those of earlier sessions first."""
        return tuple(self._results)

    def next(self) -> Trial | Wait | Done:
        """Return the next trial of the round, or the first of the next round once all others have ended."""
        if isinstance(trial := self._list.next(), Trial):
            return trial
        if len(self._results) < len(self._experiments) * self._num_folds:
            return Wait()
        if any(result.status == "stopped" for result in self._results):  # there is no time to end the round, nor more
            return Done()
        history = self._history()
        if not (proposed := self._proposer.propose(self._num_rounds, history)):
            return Done()
        self._begin_round(self._num_rounds, proposed)
        self._num_rounds += 1
        self._experiments += proposed
        self._list = ListSource(proposed, self._num_folds, self._ended)
        self._results += self._list.results
        return self.next()

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue:
        """Let every trial train to its end."""
        return Continue()

    def record(self, result: TrialResult) -> None:
        """Take note of how a trial ended."""
        self._results.append(result)

    def admitted(self) -> tuple[Experiment, ...]:
        """Return all experiments that were proposed."""
        return tuple(self._experiments)

    def _history(self) -> list[Scored]:
        """Return what is known of each experiment, in the order in which they were proposed."""
        of: dict[str, list[TrialResult]] = {experiment.experiment_id: [] for experiment in self._experiments}
        for result in sorted(self._results, key=lambda result: result.trial):
            of[result.trial.experiment_id].append(result)
        return [
            Scored(
                experiment=experiment,
                scores={
                    result.trial.fold: result.score
                    for result in of[experiment.experiment_id]
                    if result.status == "committed" and result.score is not None
                },
                is_stopped=any(result.status != "committed" for result in of[experiment.experiment_id]),
            )
            for experiment in self._experiments
        ]


_: type[TrialSource] = SearchSource
