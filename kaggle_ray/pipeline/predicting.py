"""Which models of a run predict, whether they are there and are the run's own, and on what they compute."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from kaggle_ray.combine.saved import SavedEnsemble, chosen_ensemble
from kaggle_ray.config.settings import Machine, Settings
from kaggle_ray.data.folds_csv import ids_by_fold
from kaggle_ray.decide import default_decision
from kaggle_ray.errors import ConfigError, JsonShapeError, StoreError
from kaggle_ray.metrics import Metric
from kaggle_ray.pipeline.options import MachineOptions
from kaggle_ray.pool.ledger import check_place
from kaggle_ray.pool.members import Member, MemberPart, full_model
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.store.attempt import epochs_with_weights
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RUN_FILE, RunStore
from kaggle_ray.types import Experiment, Trial

logger = logging.getLogger(__name__)

Models = list[tuple[Trial, int | None]]
"""Trials, and which of their epochs predict: None is the trial's end."""


def ensemble_of(store: RunStore, record: RunRecord, experiments: Collection[str]) -> SavedEnsemble:
    """Return the ensemble that a run's submission is made of.

    Args:
        store: of the run.
        record: of the run.
        experiments: ids of those that the run has.

    Raises:
        StoreError: there is none yet.
        JsonShapeError: it is not made of what the run has trained.
    """
    ensemble = chosen_ensemble(store)
    if ensemble is None:
        raise StoreError(
            f"{store.location}: has no ensemble yet. Run the command of {RUN_FILE} again to finish it, or with "
            f"--budget 0s to ensemble what is complete."
        )
    parts = [part for member in ensemble.weighted_members for part in member.parts]
    if not parts or not all(
        part.experiment_id in experiments and len(part.epochs) == record.num_folds for part in parts
    ):
        raise JsonShapeError(
            f"{store.location}: the ensemble {ensemble.method!r} is not made of what the run has trained."
        )
    return ensemble


def alone(store: RunStore, record: RunRecord, name: str) -> Member:
    """Return one experiment as a member: the mean of its folds.

    Raises:
        StoreError: the run has no such experiment, or several.
    """
    found = find_experiment(store, name)
    ensemble = chosen_ensemble(store)
    parts = [part for member in ensemble.members for part in member.parts] if ensemble else []
    own = MemberPart(experiment_id=found.experiment_id, epochs=(None,) * record.num_folds)
    part = next((each for each in parts if each.experiment_id == found.experiment_id), own)
    return Member(member_id=found.experiment_id, name=found.name, parts=(part,))


def ensemble_of_one(ensemble: SavedEnsemble, member: Member, metric: Metric, num_columns: int) -> SavedEnsemble:
    """Return what an experiment predicts alone; its answers are made by the ensemble's rule, which is told."""
    decision = ensemble.decide(metric, num_columns)
    if decision != default_decision(metric, num_columns):
        logger.warning(
            "%s: its predictions become answers by the rule that was fitted to the ensemble's: %s",
            member.name,
            decision,
        )
    return dataclasses.replace(
        ensemble, members=(member,), weights={member.member_id: 1.0}, fitted=None, combiner="mean"
    )


def check_epoch_named(experiment: str | None, epoch: int | None) -> None:
    """Raise ConfigError for an epoch of no experiment: those of an ensemble were trained for different numbers."""
    if epoch is not None and experiment is None:
        raise ConfigError(
            f"epoch {epoch}: expected the experiment that it is of, got none. Name one: experiment=NAME, or on the "
            f"command line --experiment NAME."
        )


def at_epoch(store: RunStore, models: Mapping[MemberPart, Models], epoch: int | None) -> dict[MemberPart, Models]:
    """Return the models with their weights at the end of ``epoch``; None leaves them as they are.

    Raises:
        ConfigError: the weights of that epoch were not kept.
    """
    if epoch is None:
        return dict(models)
    return {part: [(trial, epoch_of(store, trial, epoch)) for trial, _ in of_part] for part, of_part in models.items()}


def epoch_of(store: RunStore, trial: Trial, epoch: int) -> int | None:
    """Return which of a trial's weights are those of ``epoch``: None are those of its end.

    A trial that is not committed is left to ``check_models``.

    Raises:
        ConfigError: the weights of that epoch were not kept.
    """
    result = store.result(trial)
    if result is None or result.status != "committed":
        return epoch
    kept = epochs_with_weights(result)
    if epoch in kept:
        return epoch
    if epoch == result.epoch:
        return None
    there = ", ".join(map(str, sorted({*kept, result.epoch})))
    ended = f" It ended after {len(result.history)}." if epoch > len(result.history) else ""
    raise ConfigError(
        f"{store.location}: {trial}: epoch {epoch} was not kept, expected one of {there}.{ended} An experiment with "
        f"keep_epochs=[{epoch}] keeps it, in another run."
    )


def models_of_parts(
    members: Sequence[Member], experiments: Mapping[str, Experiment], *, refit: bool
) -> dict[MemberPart, Models]:
    """Return the models that each part of the members is the mean of: those of the folds, or the one of all rows."""
    return {
        part: [full_model(part, experiments[part.experiment_id])]
        if refit
        else [(Trial(experiment_id=part.experiment_id, fold=fold), epoch) for fold, epoch in enumerate(part.epochs)]
        for member in members
        for part in member.parts
    }


def check_models(store: RunStore, record: RunRecord, models: Iterable[Models], *, refit: bool) -> None:
    """Look, before anything is predicted, whether the trials are those of the run: files can be copied anywhere.

    Raises:
        StoreError: a trial is not committed, or its files are not as they were committed.
        LeakError: a trial was made with another fold plan, or is that of other rows.
    """
    of_folds = ids_by_fold(store.folds_csv() or "")
    for trial in dict.fromkeys(trial for of_part in models for trial, _ in of_part):
        result = store.result(trial)
        if result is None or result.status != "committed":
            again = "Run the same command again with --refit" if refit else "Run the same command again to finish it"
            raise StoreError(f"{store.location}: {trial} is not committed. {again}.")
        store.check(result)
        check_place(
            trial,
            store.lineage(result),
            scored_ids=store.scored_ids(result),
            expected_ids=of_folds.get(trial.fold, np.array([], dtype=np.str_)),
            folds_digest=record.folds_digest,
        )


def check_graphs(store: RunStore, models: Iterable[Models], settings: Settings) -> None:
    """Look whether there are ONNX graphs to predict by, on the CPU.

    Raises:
        ConfigError: the models predict on a GPU.
        StoreError: none of the models has a graph.
    """
    if settings.device != "cpu":
        raise ConfigError("ONNX graphs predict on the CPU: add --device cpu, or leave --onnx out.")
    of_trials = ((store.result(trial), epoch) for of_part in models for trial, epoch in of_part)
    if not any(result is not None and store.has_graphs(result, epoch=epoch) for result, epoch in of_trials):
        raise StoreError(
            f"{store.location}: has no ONNX graphs. A package has them: kaggle-ray package RUN OUT --onnx."
        )


def settings_here(record: RunRecord, options: MachineOptions) -> Settings:
    """Return the run's settings in one process, or where another device is named this machine's defaults of it.

    Raises:
        ConfigError: a GPU is asked for, and none is visible.
    """
    machine, of_run = Machine.here(), record.settings
    device, threads, dtype = options.device, options.threads, options.dtype
    if (device or of_run.device) == "cuda" and not machine.num_gpus:
        raise ConfigError("the run predicted on a GPU, and none is visible here. Name another device: --device cpu.")
    if device not in (None, of_run.device):
        return machine.settings(device=device, threads=threads, dtype=dtype)
    return dataclasses.replace(
        of_run,
        threads_per_trial=threads or of_run.threads_per_trial,
        dtype=dtype or of_run.dtype,
        world_size=1,
        compile=False,
        loader_workers=0,
    )
