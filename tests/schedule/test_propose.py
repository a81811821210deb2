"""What a round adds to a run."""

from __future__ import annotations

from kaggle_ray.schedule.propose import GivenExperiments, Scored
from kaggle_ray.types import Experiment

EXPERIMENTS = tuple(Experiment(experiment_id=each, name=each, hyperparameters={}) for each in "abc")


def test_given_experiments_are_all_proposed_in_the_first_round_and_never_again() -> None:
    proposer = GivenExperiments(EXPERIMENTS)
    assert proposer.propose(0, ()) == EXPERIMENTS
    assert proposer.propose(1, [Scored(experiment=each, scores={0: 1.0}) for each in EXPERIMENTS]) == ()
