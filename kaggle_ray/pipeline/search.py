"""What joins a search to its run: experiments and rounds are saved and told before any of their trials begins."""

from __future__ import annotations

from collections.abc import Sequence

from kaggle_ray.config import Search
from kaggle_ray.pipeline.experiments import maker_of_proposed
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import RoundBegan
from kaggle_ray.schedule.propose import SearchProposer
from kaggle_ray.schedule.search import SearchSource
from kaggle_ray.schedule.source import Ended
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment


def make_search_source(plan: RunPlan, search: Search, store: RunStore, ended: Ended, emit: Emit) -> SearchSource:
    """Return the source of a run that searches, which goes on after the rounds that the store has.

    Args:
        plan: of the run.
        search: the plan's own.
        store: of the run, in which each round is written down.
        ended: looks up the trials that are over.
        emit: is told of each round.
    """

    def begin_round(number: int, proposed: Sequence[Experiment]) -> None:
        for experiment in proposed:
            store.save_experiment(experiment)
        store.save_round(number, {"proposed": [each.experiment_id for each in proposed]})
        emit(
            RoundBegan(
                number=number,
                experiments={each.experiment_id: each.name for each in proposed},
                epochs={each.experiment_id: plan.epochs_of(each) for each in proposed},
            )
        )

    return SearchSource(
        SearchProposer(
            search,
            maker_of_proposed(search, plan.content),
            greater_is_better=plan.competition.metric.greater_is_better,
        ),
        plan.folds.num_folds,
        ended,
        num_begun=len(store.rounds()),
        begun=store.experiments(),
        begin_round=begin_round,
    )
