"""Which models of a run predict, whether they are there and are the run's own, and on what they compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from kaggle_ray.combine.saved import SavedEnsemble, chosen_ensemble
from kaggle_ray.config.settings import Machine, Settings
from kaggle_ray.data.folds_csv import ids_by_fold
from kaggle_ray.errors import ConfigError, JsonShapeError, StoreError
from kaggle_ray.pipeline.options import MachineOptions
from kaggle_ray.pool.ledger import check_place
from kaggle_ray.pool.members import Member, MemberPart, full_model
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RUN_FILE, RunStore
from kaggle_ray.types import Experiment, Trial

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
