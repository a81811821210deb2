from __future__ import annotations

from collections.abc import Callable

import pytest
import ray
from ray.exceptions import NodeDiedError, RayTaskError, WorkerCrashedError

from kaggle_ray.launch import ray_nodes


def raising(error: Exception) -> Callable[[object], object]:
    def get(answer: object) -> object:
        raise error

    return get


@pytest.mark.parametrize("error", [NodeDiedError("its raylet is gone"), WorkerCrashedError()])
def test_a_node_that_goes_while_it_is_asked_what_it_has_is_left_out(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "get", raising(error))
    assert ray_nodes._answer(ray.ObjectRef.nil()) is None


def test_an_error_of_the_question_itself_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get", raising(RayTaskError("packages", "traceback", ValueError("no names"))))
    with pytest.raises(RayTaskError):
        ray_nodes._answer(ray.ObjectRef.nil())
