"""The launchers by name, and those of a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.launcher import Launcher

LauncherName = Literal["local", "ray"]


def make_launcher(
    chosen: LauncherName | Launcher,
    *,
    num_slots: int,
    most_at_once: int | None = None,
    gpus_per_trial: float = 1.0,
    address: str | None = None,
    dashboard: bool = False,
    results_folder: Path | None = None,
) -> Launcher:
    """Return a launcher, one of the user's own as it is.

    Ray is imported for ``ray`` alone, which runs up to ``num_slots`` trials at once on this machine; on the cluster of
    ``address`` or RAY_ADDRESS as many as there is room for, up to ``most_at_once`` where it is given. One on a GPU
    takes ``gpus_per_trial`` of it. A Ray of this machine alone has Ray's ``dashboard`` where asked for. Tune's own
    record of the run is kept in ``results_folder`` where that is given.

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

    return RayTuneLauncher(
        num_slots=num_slots,
        most_at_once=most_at_once,
        gpus_per_trial=gpus_per_trial,
        address=address,
        dashboard=dashboard,
        results_folder=results_folder,
    )


def launcher_name(chosen: LauncherName | Launcher) -> str:
    """Return what a launcher is called where the run is told of; of a user's own the name of its class."""
    return chosen if isinstance(chosen, str) else type(chosen).__name__
