"""A source that goes on in rounds decides the same however many trials run at once, and after whatever stops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from kaggle_ray import SearchSpace, log_uniform, uniform
from kaggle_ray.config import Hyperparameters, Search
from kaggle_ray.schedule.policy import RunAll
from kaggle_ray.schedule.propose import GivenExperiments, Proposer, Scored, SearchProposer
from kaggle_ray.schedule.rounds import Round
from kaggle_ray.schedule.rounds_source import RoundsSource
from kaggle_ray.schedule.source import DeadlineSource, Done, TrialSource, Wait
from kaggle_ray.types import Experiment, Trial, TrialResult, short_digest

NUM_FOLDS = 3
SPACE = SearchSpace(search={"lr": log_uniform(1e-4, 1), "momentum": uniform(0, 0.9)})
SEARCH = Search(
    points=tuple(point.to_dict() for point in SPACE.expand()),
    distributions=SPACE.search,
    sampler="tpe",
    num_experiments=10,
    round_size=4,
    seed=0,
)


LR_OF: dict[str, float] = {}
"""Experiment id -> learning rate, of all that were made."""


def experiment_of(hyperparameters: Hyperparameters) -> Experiment:
    values = hyperparameters.to_dict()
    LR_OF[short_digest(values)] = hyperparameters.optimizer.lr
    return Experiment(experiment_id=short_digest(values), name="", hyperparameters=values)


class Machine:
    """Runs the trials of a source by some slots in a random order; what it has written outlives a source."""

    def __init__(self, proposer: Proposer | None = None) -> None:
        self.proposer = proposer or SearchProposer(SEARCH, experiment_of, greater_is_better=False)
        self.rounds: list[Round] = []
        self.results: dict[Trial, TrialResult] = {}

    def source(self) -> RoundsSource:
        return RoundsSource(
            self.proposer,
            RunAll(num_folds=NUM_FOLDS),
            num_folds=NUM_FOLDS,
            greater_is_better=False,
            ended=self.results.get,
            save=self.save,
        )

    def save(self, decided: Round) -> Round:
        assert decided.number <= len(self.rounds)
        self.rounds[decided.number :] = self.rounds[decided.number :] or [decided]
        return self.rounds[decided.number]

    def run(self, source: TrialSource, *, num_slots: int, seed: int, num_trials: int | None = None) -> None:
        random, running = np.random.default_rng(seed), list[Trial]()
        while num_trials is None or num_trials > 0:
            answer = source.next() if len(running) < num_slots else Wait()
            if isinstance(answer, Trial):
                assert any(answer in decided.trials for decided in self.rounds), "it is written down before"
                running.append(answer)
            elif running:
                result = self.end(running.pop(int(random.integers(len(running)))))
                source.record(result)
                num_trials = None if num_trials is None else num_trials - 1
            else:
                assert isinstance(answer, Done)
                return

    def end(self, trial: Trial) -> TrialResult:
        lr = LR_OF[trial.experiment_id]
        failed = lr > 0.3
        score = None if failed else abs(np.log10(lr) + 2) + 5 * trial.fold
        result = TrialResult(
            trial=trial, status="failed" if failed else "committed", attempt_id="a", score=score, error="NaN" * failed
        )
        self.results[trial] = result
        return result


def undisturbed() -> Machine:
    machine = Machine()
    machine.run(machine.source(), num_slots=1, seed=0)
    return machine


def test_a_search_has_rounds_of_its_size_and_runs_every_fold_of_them() -> None:
    machine = undisturbed()
    assert [len(decided.proposed) for decided in machine.rounds] == [4, 4, 2, 0]
    assert len(machine.results) == 10 * NUM_FOLDS


@pytest.mark.parametrize(("num_slots", "seed"), [(2, 1), (4, 2), (32, 3)])
def test_the_rounds_are_the_same_with_any_number_of_slots(num_slots: int, seed: int) -> None:
    machine = Machine()
    machine.run(machine.source(), num_slots=num_slots, seed=seed)
    assert machine.rounds == undisturbed().rounds


@pytest.mark.parametrize("num_trials", [1, 7, 12, 13, 29])
def test_the_rounds_are_the_same_after_a_kill_and_a_resume(num_trials: int) -> None:
    machine = Machine()
    machine.run(machine.source(), num_slots=2, seed=1, num_trials=num_trials)
    source = machine.source()
    assert len(source.results) == len(machine.results)
    machine.run(source, num_slots=3, seed=2)
    assert machine.rounds == undisturbed().rounds


def test_a_search_that_has_ended_goes_on_with_nothing() -> None:
    machine = undisturbed()
    source = machine.source()
    assert source.is_over
    assert source.next() == Done()
    assert len(source.results) == 30


def test_without_time_nothing_is_proposed_and_later_it_goes_on() -> None:
    machine = Machine()
    machine.run(machine.source(), num_slots=1, seed=0, num_trials=13)  # one of the second round
    source = machine.source()
    late = DeadlineSource(source, (), NUM_FOLDS, stop_at=0.0, num_slots=1, now=lambda: 1.0)
    assert late.next() == Done()
    assert [result.status for result in source.results].count("stopped") == 1, "it is cut short"
    assert len(machine.rounds) == 2
    machine.run(machine.source(), num_slots=1, seed=0)
    assert machine.rounds == undisturbed().rounds


def test_a_proposer_is_told_all_experiments_in_order_and_which_failed() -> None:
    heard: list[list[Scored]] = []

    class Listens(GivenExperiments):
        def propose(self, number: int, history: Sequence[Scored]) -> tuple[Experiment, ...]:
            heard.append(list(history))
            return super().propose(number, history)

    given = [experiment_of(Hyperparameters(lr=lr)) for lr in (0.01, 0.5, 0.1)]
    machine = Machine(Listens(given))
    machine.run(machine.source(), num_slots=2, seed=3)
    assert heard == [
        [],
        [
            Scored(experiment=given[0], scores={0: 0.0, 1: 5.0, 2: 10.0}),
            Scored(experiment=given[1], is_stopped=True),
            Scored(experiment=given[2], scores={0: 1.0, 1: 6.0, 2: 11.0}),
        ],
    ]
