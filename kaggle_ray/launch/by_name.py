"""The launchers by name."""

from __future__ import annotations

from typing import Literal

from kaggle_ray.launch.launcher import Launcher

LauncherName = Literal["local", "ray"]


def make_launcher(name: LauncherName, *, num_slots: int) -> Launcher:
    """Return a launcher; Ray is imported for ``ray`` alone, which runs up to ``num_slots`` trials at once."""
    if name == "local":
        from kaggle_ray.launch.local import LocalLauncher

        return LocalLauncher()
    from kaggle_ray.launch.ray_tune import RayTuneLauncher

    return RayTuneLauncher(num_slots=num_slots)
