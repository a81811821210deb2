"""What joins a search to its run: experiments are saved and told before any of their trials begins."""

from __future__ import annotations

from collections.abc import Sequence

from kaggle_ray.pipeline.experiments import maker_of_proposed
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import RoundBegan
from kaggle_ray.schedule.propose import GivenExperiments, Proposer, Scored, SearchProposer
from kaggle_ray.schedule.rounds import rounds_from_json
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment


class SavedProposals:
    """Saves what a proposer proposes, and proposes once more what the rounds of earlier sessions did.

    So a resume goes on with the very experiments that were trained, whatever version of a sampler is installed now.
    """

    def __init__(self, proposer: Proposer, plan: RunPlan, store: RunStore, emit: Emit) -> None:
        """Ask ``proposer`` after the rounds that ``store`` has."""
        self._proposer, self._plan, self._store, self._emit = proposer, plan, store, emit
        by_id = {experiment.experiment_id: experiment for experiment in store.experiments()}
        self._saved = [tuple(by_id[each] for each in decided.proposed) for decided in rounds_from_json(store.rounds())]

    def propose(self, number: int, history: Sequence[Scored]) -> tuple[Experiment, ...]:
        """Return what the round adds; it is saved, and told of all rounds but the first, which begins with the run."""
        if number < len(self._saved):
            return self._saved[number]
        proposed = self._proposer.propose(number, history)
        for experiment in proposed:
            self._store.save_experiment(experiment)
        if proposed and number > 0:
            self._emit(
                RoundBegan(
                    number=number,
                    experiments={each.experiment_id: each.name for each in proposed},
                    epochs={each.experiment_id: self._plan.epochs_of(each) for each in proposed},
                    hyperparameters={each.experiment_id: each.hyperparameters for each in proposed},
                )
            )
        return proposed


def make_proposer(plan: RunPlan, store: RunStore, emit: Emit) -> Proposer:
    """Return what proposes a run's experiments: those of the command, or what its search draws."""
    if plan.search is None:
        return GivenExperiments(plan.experiments)
    greater_is_better = plan.competition.metric.greater_is_better
    maker = maker_of_proposed(plan.search, plan.content)
    return SavedProposals(SearchProposer(plan.search, maker, greater_is_better=greater_is_better), plan, store, emit)
