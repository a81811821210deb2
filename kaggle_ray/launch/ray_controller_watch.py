"""Ends Ray Train's controller where it is stopped."""

from __future__ import annotations

from ray.train.v2._internal.execution.callback import ControllerCallback

from kaggle_ray.launch.watchdog import Watchdog


class ControllerWatch(ControllerCallback):  # type: ignore[misc]
    """Has the controller's process killed where it is stopped, as by SIGSTOP: its slot would wait for it for ever."""

    def after_controller_start(self, train_run_context: object) -> None:
        """Start what watches; it ends with this process."""
        self._watchdog = Watchdog.against_stops()
