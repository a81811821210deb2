"""The launchers by name, and those of a user's own."""

from __future__ import annotations

from typing import Literal

from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.launch.placement import RayPlacement

LauncherName = Literal["local", "ray"]


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
    try:
        from kaggle_ray.launch.ray_tune import RayTuneLauncher
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--launcher ray needs the extra: pip install 'kaggle-ray[ray]'. Or: --launcher local."
        ) from error

    return RayTuneLauncher(placement)


def launcher_name(chosen: LauncherName | Launcher) -> str:
    """Return what a launcher is called where the run is told of; of a user's own the name of its class."""
    return chosen if isinstance(chosen, str) else type(chosen).__name__
