"""Ends the start of a group of Ray Train's workers where it hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError
from ray.train.v2._internal.execution.callback import WorkerGroupCallback

from kaggle_ray.launch.ray_groups import remove_groups_of


class GroupStartLimit(WorkerGroupCallback):  # type: ignore[misc]
    """Ends the start of a group of workers, one of which hangs before it begins to train.

    Ray Train's controller waits for it within calls of Ray that have no time-out. They raise once the workers are
    killed, and it starts another group, as for any that died: see ``LastWords``.
    """

    def __init__(self, limit_s: float) -> None:
        """Allow each start ``limit_s`` seconds."""
        self._limit_s = limit_s

    @contextmanager
    def on_worker_group_start(self) -> Iterator[None]:
        """Watch over the start within the context, in the controller's process.

        Raises:
            WorkerGroupStartupFailedError: its time is over.
        """
        controller, is_over = ray.get_runtime_context().get_actor_id(), threading.Event()

        def end() -> None:
            is_over.set()
            remove_groups_of(controller)

        timer = threading.Timer(self._limit_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if is_over.is_set():
                raise WorkerGroupStartupFailedError(f"workers did not start within {self._limit_s:g} s") from None
            raise
        finally:
            timer.cancel()
