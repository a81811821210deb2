"""The launchers by name, and those of a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.address import LOCAL, listens, named_address
from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.launch.placement import RayPlacement

LauncherName = Literal["local", "ray"]

_LOOK_S = 2.0
"""How long a cluster may take to accept a connection before Ray is asked where it is."""


def make_launcher(chosen: LauncherName | Launcher, placement: RayPlacement) -> Launcher:
    """Return a launcher, one of the user's own as it is; for ``ray`` alone Ray is imported, and ``placement`` used.

    Raises:
        ConfigError: Ray is not installed.
    """
    if not isinstance(chosen, str):
        return chosen
    if chosen == "local":
        from kaggle_ray.launch.local import LocalLauncher

        return LocalLauncher()
    with _ray_installed():
        from kaggle_ray.launch.ray_tune import RayTuneLauncher

    return RayTuneLauncher(placement)


def joins_cluster(chosen: LauncherName | Launcher, address: str | None) -> bool:
    """Return whether trials run on a cluster that ``address``, or else RAY_ADDRESS, names; it is looked for at once.

    Ray, which takes seconds to import, is asked only where nobody listens there.

    Raises:
        ConfigError: there is no such cluster, or Ray is not installed.
    """
    named = named_address(address)
    if chosen != "ray" or named == LOCAL:
        return False
    if not listens(named, timeout_s=_LOOK_S):
        with _ray_installed():
            from kaggle_ray.launch.ray_address import check_cluster
        check_cluster(address)
    return True


@contextmanager
def _ray_installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--launcher ray needs the extra: pip install 'kaggle-ray[ray]'. Or: --launcher local."
        ) from error


def launcher_name(chosen: LauncherName | Launcher) -> str:
    """Return what a launcher is called where the run is told of; of a user's own the name of its class."""
    return chosen if isinstance(chosen, str) else type(chosen).__name__
