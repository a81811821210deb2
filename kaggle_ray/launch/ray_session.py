"""The Ray that a run's trials are placed by: a cluster that is joined, or one of this machine's cores alone."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants, services
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray._private.utils import detect_fate_sharing_support, get_dashboard_dependency_error
from ray._private.worker import get_dashboard_url

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import ConfigError, ServiceError
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.launch.ray_address import cluster_address
from kaggle_ray.launch.ray_nodes import check_nodes
from kaggle_ray.launch.ray_processes import few_processes
from kaggle_ray.launch.ray_resources import (
    Resources,
    check_fits,
    nodes_of_cluster,
    num_fitting,
    process_resources,
    room_for,
)
from kaggle_ray.launch.ray_secrets import check_asks_for_token, make_private_token
from kaggle_ray.launch.ray_words import deaths_told_once
from kaggle_ray.reporters.events import DashboardServed
from kaggle_ray.train.preemption import sigterm_kept

logger = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 200 * 2**20

_ENVIRONMENT = {
    # Ray gives a node up whose agents are not there in time, by default 30 s: a busy machine takes longer.
    "RAY_agent_register_timeout_ms": "120000",
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
    # A trial whose process died has a warning that says so, or has failed of it: no traceback of each beside it.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Tune's snapshots of its state go to a temporary folder and are never read: how often they come is no warning.
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Variables of Ray and Tune that are set before either starts."""

_NICENESS = ("RAY_worker_niceness", "0")
"""How much workers stand back behind all else, beyond the command itself, where the user does not say so: Ray's 15 lets
a busy machine starve the trials, which are all that the run is for. A run that is to stand back is started by nice."""

_NUM_STARTS = 3
"""How often Ray is started where it is not there within 30 s, which it has written into its code: a busy machine takes
longer, of which the second start finds all files read."""

_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}

_MOST_SOCKET_BYTES = 107
"""Bytes of a socket's path on Linux, of which Ray appends to its folder what ``_SOCKET`` is as long as."""
_SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"


@dataclass(frozen=True, kw_only=True, slots=True)
class RaySession:
    """A Ray that this process is connected to."""

    num_slots: int
    """Trials that run at once, at least 1; on a cluster as many as fit, on nodes that may be launched, too."""
    needed: Resources
    """What each process of a trial occupies."""
    is_cluster: bool
    """Whether it was there before, and may have room for other trials than these."""
    dashboard: DashboardServed | None
    """Where Ray's dashboard is; None where there is none."""


@contextmanager
def ray_session(settings: Settings, placement: RayPlacement) -> Iterator[RaySession]:
    """Be connected to Ray within the context.

    A session that this process has begun itself is joined, and left as it is; so is a cluster that the
    placement's address or else RAY_ADDRESS names. Otherwise one is started on this machine, where nobody else reaches
    it, and ended afterwards.

    Raises:
        ConfigError: no such cluster answers, it differs in its versions, no node has room for a trial, packages for
            the dashboard are missing, or RAY_AUTH_MODE=disabled would let others in.
        ServiceError: Ray does not start.
    """
    os.environ.update(_ENVIRONMENT)
    os.environ.setdefault(*_NICENESS)
    needed = process_resources(settings, gpus_per_trial=placement.gpus_per_trial)
    if ray.is_initialized():
        yield _joined(needed, settings.world_size, where="this process's Ray")
        return
    with sigterm_kept():  # Ray's own would end this process without a word
        cluster = cluster_address(placement.address)
        if cluster is not None:
            ray.init(address=cluster, **_QUIET)
    if cluster is not None:
        try:
            session = _joined(needed, settings.world_size, where=f"the cluster at {cluster}")
            check_nodes()
            with deaths_told_once():
                yield session
        finally:
            ray.shutdown()
        return
    with _on_loopback(), _short_folder() as folder, deaths_told_once():
        try:
            with sigterm_kept(), _out_of_this_group(), nullcontext() if placement.dashboard else few_processes():
                num_processes = placement.num_slots * settings.world_size
                _start(needed, num_processes, folder, dashboard=placement.dashboard)
            yield RaySession(num_slots=placement.num_slots, needed=needed, is_cluster=False, dashboard=_dashboard())
        finally:
            ray.shutdown()


def _joined(needed: Resources, num_processes: int, *, where: str) -> RaySession:
    kinds = nodes_of_cluster()
    check_fits(needed, num_processes, kinds, where=where)
    num_slots = num_fitting(needed, kinds) // num_processes
    return RaySession(num_slots=max(1, num_slots), needed=needed, is_cluster=True, dashboard=_dashboard())


def _dashboard() -> DashboardServed | None:
    where = get_dashboard_url()
    return DashboardServed(url=f"http://{where}", asks_for_token=is_token_auth_enabled()) if where else None


def _start(needed: Resources, num_processes: int, folder: str | None, *, dashboard: bool) -> None:
    if dashboard and (missing := get_dashboard_dependency_error()):
        raise ConfigError(f"--dashboard needs the extra: pip install 'kaggle-ray[dashboard]' ({missing}).")
    machine = room_for(needed, num_processes)
    check_asks_for_token()
    make_private_token()
    for num_left in reversed(range(_NUM_STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=machine["CPU"],
                num_gpus=machine["GPU"],
                include_dashboard=dashboard,
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=folder,
                **_QUIET,
            )
            break
        except Exception as error:  # Ray's own is of no narrower type
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise
            if not num_left:
                raise ServiceError(
                    f"Ray was not there within 30 s, {_NUM_STARTS} times: this machine is too busy for it. Run the "
                    f"same command again when it is less so, or one trial after the other: --launcher local."
                ) from error
            logger.warning("Ray was not there within 30 s and is started again: this machine is busy")


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let all that Ray starts within the context listen on 127.0.0.1 alone.

    Ray listens on every interface, and replaces a loopback address that it is given by one that others reach. What it
    has against this is meant for Windows and macOS, whose firewalls ask: it is one machine, for which no other is to
    be a node. Its processes read the variable, and this one has read it already.
    """
    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    variable = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        if variable is not None:
            os.environ[name] = variable


@contextmanager
def _out_of_this_group() -> Iterator[None]:
    """Let what Ray starts within the context get none of the signals that are sent to this process's group.

    A terminal that closes, ``kill -- -PGID`` and job schedulers ask the whole group to end. Ray would end at once, and
    with it the slots, which are to save checkpoints: this process ends Ray when they have. Where this process is
    killed, Linux kills what it started; elsewhere Ray's reaper does, which finds it by the group.
    """
    popen = services.ConsolePopen
    if detect_fate_sharing_support():
        services.ConsolePopen = functools.partial(popen, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = popen


@contextmanager
def _short_folder() -> Iterator[str | None]:
    """Yield a folder for Ray's sockets where the path of its own would be too long for one; else None."""
    if len(os.fsencode(get_default_ray_temp_dir() + _SOCKET)) <= _MOST_SOCKET_BYTES:
        yield None
        return
    folder = tempfile.mkdtemp(prefix="ray_", dir="/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # its processes may be at their last words
