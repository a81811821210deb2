"""What a group of Ray Train's workers died of, told to its exchange: also of one that died before it began a trial."""

from __future__ import annotations

import textwrap
from typing import Any

from ray.train import ControllerError, TrainingFailedError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.controller.state import ReschedulingState, RestartingState

from kaggle_ray.train.failures import reason_of

_MOST_LETTERS = 300
"""Longest words of one worker: Ray's own go on with what may have happened to any process."""


class LastWords(ControllerCallback):  # type: ignore[misc]
    """Listens to Ray Train's controller, which starts another group whenever one has died or did not start.

    Ray Train's own limits (``FailureConfig``) count over the life of the whole group, in which it serves many trials,
    and its callback for users hears nothing of workers that die while they start.
    """

    def __init__(self, exchange: Any) -> None:
        """Tell ``exchange``, which decides how often is enough."""
        self._exchange = exchange

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        """Tell why another group is about to be started."""
        if isinstance(current_state, RestartingState | ReschedulingState):
            words = last_words(current_state.training_failed_error)
            if words is not None:
                self._exchange.died.remote(words)


def last_words(error: TrainingFailedError) -> str | None:
    """Return in a line what a group died of; None where none died of itself.

    So it is where its nodes are taken away, or there is no room yet: an autoscaler takes minutes to launch nodes.
    """
    if isinstance(error, WorkerGroupError):
        return "; ".join(f"rank {rank}: {_shortened(each)}" for rank, each in sorted(error.worker_failures.items()))
    if isinstance(error, ControllerError):
        failure = error.controller_failure
        if isinstance(failure, WorkerGroupStartupTimeoutError):
            return None
        return _shortened(failure.__cause__ if isinstance(failure.__cause__, Exception) else failure)
    return None


def _shortened(error: Exception) -> str:
    return textwrap.shorten(reason_of(error), _MOST_LETTERS, placeholder=" ...")
