from __future__ import annotations

from kaggle_ray.schedule.bounded import BoundedSource
from kaggle_ray.schedule.source import Done, ListSource, Wait
from kaggle_ray.types import Experiment, Trial, TrialResult


def test_no_more_trials_are_handed_out_than_the_bound_until_one_has_ended() -> None:
    experiment = Experiment(experiment_id="a" * 12, name="one", hyperparameters={})
    source = BoundedSource(ListSource([experiment], 3, lambda trial: None), num_slots=2)
    trials = [Trial(experiment_id="a" * 12, fold=fold) for fold in range(3)]
    assert [source.next(), source.next(), source.next()] == [*trials[:2], Wait()]
    source.record(TrialResult(trial=trials[1], status="committed", attempt_id="x"))
    assert [source.next(), source.next()] == [trials[2], Wait()]
    for trial in (trials[0], trials[2]):
        source.record(TrialResult(trial=trial, status="failed", attempt_id=""))
    assert source.next() == Done()
    assert [result.trial.fold for result in source.results] == [1, 0, 2]
    assert source.admitted() == (experiment,)
