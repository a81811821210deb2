"""Experiments added to a run when its own are over: they predict otherwise, by a mean of weights, or train on.

Each fold's rows are predicted by the weights of that fold that the run has kept, or by what is trained from these on,
so that the ledger knows what they have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.schedule.rounds import rounds_from_json, stopped_in
from kaggle_ray.schedule.source import Ended, ListSource
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment, Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """An experiment that begins with what others have learnt."""

    of: Experiment
    """The experiment that it is compared with: the one that it is otherwise the same as or that it trains on, or a
    soup's first."""
    experiment: Experiment


def over_already(plan: RunPlan, store: RunStore) -> ListSource:
    """Return the trials of a run that are over, none of which is run again; what was stopped is not among them."""
    stopped, added = stopped_in(rounds_from_json(store.rounds())), {each.experiment_id for each in store.added()}
    own = [each for each in store.experiments() if each.experiment_id not in {*stopped, *added}]
    return ListSource(own, plan.folds.num_folds, store.result)


def added_source(plan: RunPlan, store: RunStore, ended: Ended) -> ListSource:
    """Return the trials of the experiments that were added, of which those are left whose weights are there."""

    def over_or_gone(trial: Trial) -> bool:
        return ended(trial) is not None or has_weights(store, by_id[trial.experiment_id], trial.fold)

    by_id = {each.experiment_id: each for each in store.added()}
    folds = range(plan.folds.num_folds)
    can_be = [
        each
        for each in by_id.values()
        if all(over_or_gone(Trial(experiment_id=each.experiment_id, fold=fold)) for fold in folds)
    ]
    # What they begin with is over: they wait for nothing.
    waiting_for_none = [replace(each, weights_of=None, soup_ids=(), parent_id=None) for each in can_be]
    return ListSource(waiting_for_none, plan.folds.num_folds, ended)


def has_weights(store: RunStore, experiment: Experiment, fold: int) -> bool:
    """Return whether the weights are there that one trial of an experiment that was added begins with."""
    results = [store.result(Trial(experiment_id=each, fold=fold)) for each in _sources_of(experiment)]
    return all(result is not None and result.status == "committed" and store.has_weights(result) for result in results)


def pending_weights(store: RunStore, num_folds: int) -> Iterator[Trial]:
    """Yield the trials whose weights an experiment that was added has still to begin with."""
    for experiment in store.added():
        for fold in range(num_folds):
            if store.result(Trial(experiment_id=experiment.experiment_id, fold=fold)) is None:
                yield from (Trial(experiment_id=each, fold=fold) for each in _sources_of(experiment))


def _sources_of(experiment: Experiment) -> tuple[str, ...]:
    """Return the experiments whose weights one that was added begins with."""
    assert experiment.needs, "what is added begins with the weights of others"
    return experiment.needs
