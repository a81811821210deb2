"""The Ray that a run's trials are placed by: a cluster that is joined, or one of this machine's cores alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from kaggle_ray.config.settings import Settings
from kaggle_ray.train.preemption import sigterm_kept

_OBJECT_STORE_BYTES = 200 * 2**20

_ENVIRONMENT = {
    # Tune's new output prints a table even with verbose=0; the old one is silent then, and our reporters tell.
    "RAY_AIR_NEW_OUTPUT": "0",
    # A competition's relative paths mean the folder that the run was started in, not one that Tune makes per trial.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Started by `uv run`, Ray would pack the working folder, data and runs included, and install it for each worker.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Nothing of a user's runs is sent to anybody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # The store is the only truth: no CSV, JSON and TensorBoard files of each trial beside it.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-c has to reach the driver, which tells how to go on; Tune's handler would take it to save its own state.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's snapshots of its state go to a temporary folder and are never read: how often they come is no warning.
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Variables of Ray and Tune that are set before either starts."""


@contextmanager
def ray_session(settings: Settings, *, num_slots: int) -> Iterator[None]:
    """Be connected to Ray within the context.

    A cluster is joined where RAY_ADDRESS names one; otherwise one is started on this machine, and ended afterwards.
    """
    os.environ.update(_ENVIRONMENT)
    with sigterm_kept():  # Ray's own would end this process without a word
        _start_ray(settings, num_slots)
    try:
        yield
    finally:
        ray.shutdown()


def _start_ray(settings: Settings, num_slots: int) -> None:
    address = os.environ.get("RAY_ADDRESS", "local")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address != "local":
        ray.init(address=address, **quiet)
        return
    ray.init(
        address="local",
        num_cpus=num_slots * settings.threads_per_trial * settings.world_size,
        num_gpus=num_slots * settings.world_size if settings.device == "cuda" else 0,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        **quiet,
    )
