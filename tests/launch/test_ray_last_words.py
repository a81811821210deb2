from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.ray


class Exchange:
    """What an actor's handle looks like."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.died = self
        self.remote = self.told.append


def told_of(*states: Any) -> list[str]:
    from kaggle_ray.launch.ray_last_words import LastWords

    exchange = Exchange()
    for state in states:
        LastWords(exchange).after_controller_state_update(None, state)
    return exchange.told


def test_the_words_are_those_of_each_worker_that_died_and_of_one_that_did_not_start() -> None:
    from ray.exceptions import RayActorError
    from ray.train import ControllerError, WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError
    from ray.train.v2._internal.execution.controller.state import ReschedulingState, RestartingState, RunningState

    errors: dict[int, Exception] = {1: ImportError("no\nlibcudart"), 0: RuntimeError("Connection closed " + "x " * 500)}
    startup = WorkerGroupStartupFailedError("At least one of the worker actors failed to initialize.")
    startup.__cause__ = RayActorError(error_msg="The actor died: killed by signal 9")
    first, second = told_of(
        RestartingState(WorkerGroupError("words", errors)), RunningState(), ReschedulingState(ControllerError(startup))
    )
    assert first.startswith("rank 0: RuntimeError: Connection closed x x")
    assert first.endswith(" ...; rank 1: ImportError: no libcudart")
    assert len(first) < 400
    assert second == "RayActorError: The actor died: killed by signal 9"


def test_groups_that_wait_for_room_or_lose_their_nodes_say_nothing() -> None:
    from ray.train import ControllerError
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
    from ray.train.v2._internal.execution.controller.state import ReschedulingState, RestartingState
    from ray.train.v2.api.exceptions import PreemptionError

    waiting = ReschedulingState(ControllerError(WorkerGroupStartupTimeoutError(2)))
    taken = RestartingState(PreemptionError.__new__(PreemptionError))
    assert told_of(waiting, taken) == []
