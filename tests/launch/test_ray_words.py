from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.ray

DEATH = "A worker died or was killed while executing a task by an unexpected system error. To troubleshoot, look at ..."
NODE = "The node with node id: 1f has been marked dead because the detector has missed too many heartbeats from it."


def data_of(*lines: str) -> dict[str, Any]:
    return {"lines": list(lines), "pid": "raylet", "is_err": False}


def test_deaths_that_a_run_tells_of_itself_are_not_printed_by_ray_and_all_else_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from ray._private import worker

    from kaggle_ray.launch.ray_words import deaths_told_once

    with deaths_told_once():
        worker.print_to_stdstream(data_of(DEATH), ignore_prefix=False)
        worker.print_to_stdstream(data_of(DEATH, NODE), ignore_prefix=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(NODE)
    worker.print_to_stdstream(data_of(DEATH), ignore_prefix=False)
    assert DEATH in capsys.readouterr().out


def test_ray_prints_what_befalls_its_processes_by_the_function_that_is_replaced() -> None:
    import inspect

    from ray._private import worker

    assert "print_to_stdstream(" in inspect.getsource(worker.listen_error_messages)
