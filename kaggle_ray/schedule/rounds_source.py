"""A run in rounds: what is proposed, run and stopped follows from the results of the rounds before, and from no clock.

A round's plan is saved before anything depends on it. It is a pure function of the results of the trials that the
rounds before name, so that slots, faults and resumes change nothing. Slots that are idle at a round's end run the
likeliest next trials ahead; their results count once a round names them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from kaggle_ray.errors import RunMismatchError
from kaggle_ray.schedule.policy import History, Policy, Standing, Verdict
from kaggle_ray.schedule.propose import Proposer, Scored
from kaggle_ray.schedule.rounds import Round, difference
from kaggle_ray.schedule.source import Continue, Done, Ended, Stop, TrialSource, Wait
from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult

Save = Callable[[Round], Round]
"""Saves a round where it is absent, and returns the one that stands."""


class RoundsSource:
    """Hands out the trials of one round after the other."""

    def __init__(
        self,
        proposer: Proposer,
        policy: Policy,
        *,
        num_folds: int,
        greater_is_better: bool,
        ended: Ended,
        save: Save,
    ) -> None:
        """Replay the rounds that are complete already, so that a rerun is a resume.

        Raises:
            RunMismatchError: a round was decided otherwise before.
        """
        self._proposer, self._policy = proposer, policy
        self._num_folds, self._greater_is_better = num_folds, greater_is_better
        self._ended, self._save = ended, save
        self._experiments: dict[str, Experiment] = {}
        self._stopped: dict[str, str] = {}
        self._results: list[TrialResult] = []
        self._final: dict[Trial, TrialResult] = {}
        self._settled: dict[Trial, TrialResult] = {}
        self._given_up: set[Trial] = set()
        self._running: dict[Trial, list[EpochMetrics]] = {}
        self._round_of: dict[Trial, int] = {}
        self.rounds: list[Round] = []
        """Rounds so far, the one under way last."""
        self._advance()

    @property
    def is_over(self) -> bool:
        """Whether the last round has been decided: nothing is left to run."""
        return not self.rounds[-1].trials

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results so far, those of earlier sessions and of trials that ran ahead among them."""
        return tuple(self._results)

    def next(self) -> Trial | Wait | Done:
        """Return the next trial of the round, else one that the next round is likely to name."""
        if not self._given_up and not self.is_over:
            for trial in chain(self.rounds[-1].trials, self._ahead()):
                if self._may_start(trial):
                    self._running[trial] = []
                    return trial
        return Wait() if self._running else Done()

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue | Stop:
        """Stop a trial of the round as soon as the policy prunes it; one that runs ahead goes on."""
        history = self._running[trial]
        history[metrics.epoch - 1 :] = [metrics]
        why = self._why_pruned(trial, history)
        return Continue() if why is None else Stop(reason=why)

    def record(self, result: TrialResult) -> None:
        """Take note of how a trial ended, and decide the next round where that completes this one.

        A trial that the clock stopped, or whose failure may not repeat itself, keeps its round open for a resume.
        """
        self._running.pop(result.trial, None)
        self._results.append(result)
        if result.status == "stopped" or (result.status == "failed" and self._ended(result.trial) is None):
            self._given_up.add(result.trial)
        else:
            self._final[result.trial] = result
            self._advance()

    def admitted(self) -> tuple[Experiment, ...]:
        """Return the experiments that are not stopped."""
        return tuple(each for each_id, each in self._experiments.items() if each_id not in self._stopped)

    # What runs ----------------------------------------------------------------------------------------------------

    def _may_start(self, trial: Trial) -> bool:
        known = trial in self._running or trial in self._final
        return not known and all(_is_committed(self._final.get(needed)) for needed in self._needs_of(trial))

    def _needs_of(self, trial: Trial) -> list[Trial]:
        needs = self._experiments[trial.experiment_id].needs
        return [Trial(experiment_id=needed, fold=trial.fold) for needed in needs]

    def _has_ended(self, trial: Trial) -> bool:
        """Return whether a trial has ended, or what it needs has, without weights."""
        return trial in self._final or any(
            self._has_ended(needed) and not _is_committed(self._final.get(needed)) for needed in self._needs_of(trial)
        )

    def _ahead(self) -> Iterator[Trial]:
        """Yield the next fold of the experiments that go on, the best by the folds that are known first."""

        def rank(standing: Standing) -> float:
            score = standing.mean_score
            return math.inf if math.isnan(score) else -score if self._greater_is_better else score

        for standing in sorted(self._standings(), key=rank):
            experiment_id = standing.experiment.experiment_id
            left = (Trial(experiment_id=experiment_id, fold=fold) for fold in range(self._num_folds))
            if standing.results and (ahead := next((t for t in left if t not in self._round_of), None)):
                yield ahead

    def _why_pruned(self, trial: Trial, history: History) -> str | None:
        """Return why a round's policy prunes a trial by its history; None of one that no round has named."""
        if trial not in self._round_of or len(history) >= self._num_epochs(trial):
            return None
        others = [
            result.history
            for other, result in self._settled.items()
            if other.fold == trial.fold
            and other.experiment_id not in self._stopped
            and self._round_of[other] < self._round_of[trial]
            and _is_committed(result)
        ]
        return self._policy.prune(trial, history, others)

    def _num_epochs(self, trial: Trial) -> int:
        epochs = self._experiments[trial.experiment_id].hyperparameters["epochs"]
        assert isinstance(epochs, int)
        return epochs

    # What is decided ----------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Decide rounds for as long as all trials of the last one have ended."""
        while not self.rounds or (not self.is_over and all(map(self._has_ended, self.rounds[-1].trials))):
            for trial in self.rounds[-1].trials if self.rounds else ():  # those that others need stand before them
                self._settled[trial] = self._settle(trial)
            decided = self._decide(len(self.rounds))
            if (saved := self._save(decided)) != decided:
                raise RunMismatchError(
                    f"round {decided.number} was decided otherwise before: {difference(saved, decided)}. "
                    f"Run the command that started it, with its --policy, or start a new run with --run-id."
                )
            self.rounds.append(decided)
            self._round_of.update(dict.fromkeys(decided.trials, decided.number))

    def _decide(self, number: int) -> Round:
        verdicts = self._judge()
        self._stopped |= {each: verdict.text for each, verdict in verdicts.items() if verdict.is_stopped}
        proposed = self._propose(number)
        folds = self._policy.folds(self._standings())
        planned = [
            Trial(experiment_id=each_id, fold=fold)
            for each_id in self._experiments
            if each_id not in self._stopped
            for fold in folds.get(each_id, ())
        ]
        named = {*self._round_of, *planned}
        trials = [trial for trial in planned if named.issuperset(self._needs_of(trial))]
        return Round(number=number, proposed=proposed, trials=tuple(trials), verdicts=verdicts)

    def _judge(self) -> dict[str, Verdict]:
        """Return the verdicts on the experiments that go on; what one of these needs goes on, too."""
        running = [each for each in self._experiments.values() if each.experiment_id not in self._stopped]
        verdicts = {
            each.experiment_id: Verdict(is_stopped=True, text=text)
            for each in running
            if (text := self._why_ended(each)) is not None
        }
        left = [each for each in self._standings() if each.experiment.experiment_id not in verdicts]
        verdicts |= self._policy.judge(left)
        needed: set[str] = set()
        for each in reversed(running):  # those that others need stand before them
            verdict = verdicts.get(each.experiment_id)
            is_needed = each.experiment_id in needed and self._why_ended(each) is None
            if is_needed and verdict is not None and verdict.is_stopped:
                text = f"It goes on as another experiment needs it, or it would be stopped: {verdict.text}"
                verdicts[each.experiment_id] = verdict = Verdict(is_stopped=False, text=text)
            if verdict is None or not verdict.is_stopped:
                needed.update(each.needs)
        for each in running:
            gone = [other for other in each.needs if other in self._stopped or _is_stopped(verdicts.get(other))]
            if gone and not _is_stopped(verdicts.get(each.experiment_id)):
                text = f"It cannot go on: experiment {gone[0]}, which it needs, is stopped."
                verdicts[each.experiment_id] = Verdict(is_stopped=True, text=text)
        return verdicts

    def _why_ended(self, experiment: Experiment) -> str | None:
        """Return why a trial of an experiment was no success, None where all that ended were."""
        for trial in self._trials_of(experiment.experiment_id):
            result = self._settled[trial]
            if result.status == "failed":
                return f"Its trial of fold {trial.fold} failed: {result.error}"
            if result.status == "pruned":
                return f"Its trial of fold {trial.fold} was pruned: {result.reason}"
        return None

    def _propose(self, number: int) -> tuple[str, ...]:
        scores = {
            each_id: {
                trial.fold: score
                for trial in self._trials_of(each_id)
                if _is_committed(self._settled[trial]) and (score := self._settled[trial].score) is not None
            }
            for each_id in self._experiments
        }
        history = [
            Scored(experiment=each, scores=scores[each_id], is_stopped=each_id in self._stopped)
            for each_id, each in self._experiments.items()
        ]
        proposed = [
            each for each in self._proposer.propose(number, history) if each.experiment_id not in self._experiments
        ]
        for experiment in proposed:
            self._experiments[experiment.experiment_id] = experiment
            for fold in range(self._num_folds):
                trial = Trial(experiment_id=experiment.experiment_id, fold=fold)
                if trial not in self._final and (result := self._ended(trial)) is not None:
                    self._final[trial] = result
                    self._results.append(result)
        return tuple(each.experiment_id for each in proposed)

    def _standings(self) -> list[Standing]:
        return [
            Standing(
                experiment=each,
                results={
                    trial.fold: self._settled[trial]
                    for trial in self._trials_of(each_id)
                    if _is_committed(self._settled[trial])
                },
            )
            for each_id, each in self._experiments.items()
            if each_id not in self._stopped
        ]

    def _trials_of(self, experiment_id: str) -> list[Trial]:
        """Return the trials of an experiment in the rounds that are complete."""
        trials = (Trial(experiment_id=experiment_id, fold=fold) for fold in range(self._num_folds))
        return [trial for trial in trials if trial in self._settled]

    def _settle(self, trial: Trial) -> TrialResult:
        """Return how a trial ended, or would have, had it not run ahead: the round that names it decides."""
        for needed in self._needs_of(trial):
            if not _is_committed(self._settled[needed]):
                why = f"{needed}, which it needs, is not committed."
                return TrialResult(trial=trial, status="failed", attempt_id="", error=why)
        result = self._final[trial]
        if result.status == "failed":
            return result
        for num_epochs in range(1, len(result.history) + 1):
            if (reason := self._why_pruned(trial, result.history[:num_epochs])) is not None:
                return replace(result, status="pruned", reason=reason, history=result.history[:num_epochs], score=None)
        return result


def _is_committed(result: TrialResult | None) -> bool:
    return result is not None and result.status == "committed"


def _is_stopped(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.is_stopped


_: type[TrialSource] = RoundsSource
