"""How a run's trials are executed: with the settings that it was started with, or else with this machine's."""

from __future__ import annotations

import dataclasses
from typing import Any

from kaggle_ray.config.settings import Machine, Settings
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.store.record import RunRecord


def settings_of(options: RunOptions, machine: Machine, record: RunRecord | None) -> Settings:
    """Return the run's settings: those it was started with, save for what the user names; else this machine's.

    Raises:
        ConfigError: there is no such device here, or no GPU of which a trial could take a share.
    """
    settings = _resolved(options, machine, record)
    if options.gpus_per_trial < 1 and settings.device != "cuda":
        raise ConfigError(
            f"--gpus-per-trial {options.gpus_per_trial:g}: this run's trials take no GPU, but --device "
            f"{settings.device}. Leave it out."
        )
    if options.gpus_per_trial < 1 and settings.world_size > 1:
        raise ConfigError(
            f"--gpus-per-trial {options.gpus_per_trial:g}: each of the {settings.world_size} processes of a trial "
            f"needs a whole GPU: two of them on one hang. Leave it out, or use --processes 1."
        )
    return settings


def _resolved(options: RunOptions, machine: Machine, record: RunRecord | None) -> Settings:
    named: dict[str, Any] = {
        "loader_workers": options.loader_workers,
        "world_size": options.processes,
        "compile": options.compile,
    }
    if record is None:
        settings = machine.settings(
            device=options.device,
            threads=options.threads,
            dtype=options.dtype,
            gpus_per_trial=options.gpus_per_trial,
        )
        return dataclasses.replace(settings, **{name: value for name, value in named.items() if value is not None})
    named |= {"device": options.device, "threads_per_trial": options.threads, "dtype": options.dtype}
    settings = dataclasses.replace(record.settings, **{name: of for name, of in named.items() if of is not None})
    if settings.device == "cuda" and not machine.num_gpus and not machine.joins_cluster:
        raise ConfigError(
            f"run {options.run_id}: was started on a GPU, and none is visible here. Resume it on such a machine, "
            f"or start a new run with another --run-id."
        )
    return settings
