"""Which Ray a run joins: its address, and whether a cluster of the same Ray and Python answers there."""

from __future__ import annotations

import logging
import platform
import socket
import threading
from typing import Any

import ray
from ray._common.usage import usage_lib
from ray._private import services
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray.exceptions import AuthenticationError, RayError

from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.address import ADDRESS_VARIABLE, AUTO, LOCAL, named_address

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
"""How long a cluster may take to accept a connection, and then to say which versions it has."""

_NEXT_STEP = "Start the cluster, name another one, or run on this machine alone: --address local."


def cluster_address(given: str | None) -> str | None:
    """Return the host and port of the cluster that is named, None where a run keeps to this machine.

    Args:
        given: ``local``; ``auto``, the cluster that ``ray start`` began on this machine; or a host and a port. None is
            what RAY_ADDRESS says, which Ray sets for its jobs, and else ``local``.

    Raises:
        ConfigError: there is no such cluster.
    """
    named = named_address(given)
    where = f"--address {named}" if given else f"{ADDRESS_VARIABLE}={named}"
    if named == LOCAL:
        return None
    if "://" in named:
        raise ConfigError(
            f"{where}: a run is driven from a machine of the cluster. Give the host and port of its head, "
            f"such as 10.0.0.1:6379, or send the run there: ray job submit, or ray submit CLUSTER.yaml run.py."
        )
    # Ray itself takes auto for any Ray whose process it finds, another run's private one included.
    address = services.find_bootstrap_address(None) if named == AUTO else named
    if address is None:
        raise ConfigError(f"{where}: no cluster was started on this machine, as by ray start --head. {_NEXT_STEP}")
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"{where}: expected a host and a port, such as 10.0.0.1:6379.")
    address = str(services.canonicalize_bootstrap_address(address))  # Ray takes localhost for this machine's address
    _check_answers(address, where if named == address else f"{where} ({address})")
    return address


def check_cluster(given: str | None) -> None:
    """Raise ConfigError where the cluster that is named is not there; a session of the user's own is not looked at."""
    if not ray.is_initialized():
        cluster_address(given)


def _check_answers(address: str, where: str) -> None:
    """Raise ConfigError where no cluster of this Ray and this Python answers within seconds.

    ``ray.init`` tries for twenty minutes, and then tells of threads and sockets.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"{where}: nobody answers there ({error}). {_NEXT_STEP}") from error
    logging.getLogger("ray").setLevel(logging.ERROR)  # as ray.init is told to, later
    versions = _versions_at(address, where)
    here = {"ray_version": ray.__version__, "python_version": platform.python_version()}
    for name, version in here.items():
        if versions.get(name, version) != version:
            what = name.removesuffix("_version").capitalize()
            raise ConfigError(
                f"{where}: the cluster runs {what} {versions[name]}, and this process {what} {version}. They have to "
                f"be the same: install on all machines what uv.lock names (uv sync --frozen)."
            )


def _versions_at(address: str, where: str) -> dict[str, Any]:
    """Return what a cluster says of itself: ``ray_version`` and ``python_version`` among it.

    A token that this user has is shown where the cluster asks for one, and not before: a process that shows its token
    takes no request without one, and a cluster that has none would see all that is asked of this driver refused.

    Raises:
        ConfigError: what listens there is no Ray, or asks for another token.
    """
    try:
        try:
            said = _said_at(address)
        except AuthenticationError:
            if not maybe_enable_token_auth_if_token_available(warn_if_disabled=False):
                raise
            said = _said_at(address)
    except AuthenticationError as error:
        raise ConfigError(
            f"{where}: the cluster asks for a token that this user does not have. Copy ~/.ray/auth_token from its head "
            f"node (chmod 600), or name the token's file in RAY_AUTH_TOKEN_PATH, and set RAY_AUTH_MODE=token."
        ) from error
    if not said:
        raise ConfigError(f"{where}: something listens there, and it is no Ray cluster. {_NEXT_STEP}")
    return said


def _said_at(address: str) -> dict[str, Any]:
    """Return what a cluster says of itself, nothing where what listens there does not answer in time."""
    said: dict[str, Any] = {}
    errors: list[RayError] = []

    def ask() -> None:
        try:
            said.update(usage_lib.get_cluster_metadata(ray._raylet.GcsClient(address=address)) or {})
        except RayError as error:
            errors.append(error)

    # Ray's client waits for a minute, and in compiled code: the thread is left to itself.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ANSWER_SECONDS)
    if errors and isinstance(errors[0], AuthenticationError):
        raise errors[0]
    return said
