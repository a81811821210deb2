"""What decides which trial of a run is next: a list, a source of the user's own, or rounds of a policy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.search import make_proposer
from kaggle_ray.pool.ledger import rows_in
from kaggle_ray.reporters import Emit
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.schedule.policy import Policy, RunAll
from kaggle_ray.schedule.race import Forgiving, Race
from kaggle_ray.schedule.rounds import Round, rounds_from_json
from kaggle_ray.schedule.rounds_source import RoundsSource
from kaggle_ray.schedule.source import Ended, ListSource, TrialSource
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Folds, TrialResult

PolicyName = Literal["all", "race", "forgiving"]


class StoredOutOfFold:
    """Out-of-fold predictions of a run's committed trials, as its store has them."""

    def __init__(self, store: RunStore, folds: Folds, target: Rows) -> None:
        """Read from ``store``; ``target`` is of the rows of the fold plan."""
        self._store, self._folds, self._target = store, folds, target

    def predictions(self, result: TrialResult) -> Rows:
        """Return (n, C) the predictions of the trial's own fold, in the order of the fold plan."""
        valid, _ = self._store.predictions(result)
        expected = self._folds.sample_ids[self._folds.valid_rows(result.trial.fold)]
        return select_rows(float_rows(valid.values), rows_in(valid.sample_ids, expected, where=str(result.trial)))

    def target(self, fold: int) -> Rows:
        """Return (n,) or (n, T) what they predict."""
        return select_rows(self._target, self._folds.valid_rows(fold))


def make_source(plan: RunPlan, store: RunStore, target: Rows, ended: Ended, emit: Emit) -> TrialSource:
    """Return the source of a run's trials.

    Raises:
        ConfigError: a policy, and a source of the user's own.
        RunMismatchError: the run has rounds of another policy.
    """
    if plan.options.policy == "all" and plan.search is None:
        return (plan.options.source or ListSource)(plan.experiments, plan.folds.num_folds, ended)
    if plan.options.source is not None:
        raise ConfigError(f"--policy {plan.options.policy}: expected a policy or a source, got both.")

    def save(decided: Round) -> Round:
        store.save_round(decided.number, asdict(decided))
        return rounds_from_json(store.rounds())[decided.number]

    return RoundsSource(
        make_proposer(plan, store, emit),
        _policy(plan, store, target),
        num_folds=plan.folds.num_folds,
        greater_is_better=plan.competition.metric.greater_is_better,
        ended=ended,
        save=save,
    )


def _policy(plan: RunPlan, store: RunStore, target: Rows) -> Policy:
    metric, num_folds = plan.competition.metric, plan.folds.num_folds
    if plan.options.policy == "all":
        return RunAll(num_folds=num_folds)
    if plan.options.policy == "forgiving":
        return Forgiving(metric, num_folds=num_folds)
    return Race(StoredOutOfFold(store, plan.folds, target), metric, num_folds=num_folds)
