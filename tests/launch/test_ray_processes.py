"""What a Ray of one machine does without: processes beside those of its trials, and imports for a count of its use."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.ray


def test_a_ray_without_dashboard_has_no_process_of_it_of_an_autoscaler_and_of_logs() -> None:
    from ray._private import parameter, services, utils

    from kaggle_ray.launch.ray_processes import few_processes

    before = parameter.RayParams, services.start_api_server, utils.get_dashboard_dependency_error
    with few_processes():
        made = parameter.RayParams(num_cpus=2)
        assert (made.num_cpus, made.no_monitor, made.include_log_monitor) == (2, True, False)
        assert services.start_api_server(False, False, port=None) == (None, None)
        assert isinstance(utils.get_dashboard_dependency_error(), ImportError)
    assert before == (parameter.RayParams, services.start_api_server, utils.get_dashboard_dependency_error)


def test_ray_starts_its_processes_by_the_names_that_are_replaced() -> None:
    from ray._private import node, services, worker

    assert "ray._private.parameter.RayParams(" in inspect.getsource(worker.init)
    assert "ray._private.services.start_api_server(" in inspect.getsource(node.Node.start_api_server)
    assert "ray._private.utils.get_dashboard_dependency_error()" in inspect.getsource(services.start_raylet)
    head = inspect.getsource(node.Node.start_head_processes)
    assert "not self._ray_params.no_monitor" in head
    assert "self._ray_params.include_log_monitor" in inspect.getsource(node.Node.start_ray_processes)


def test_tune_asks_for_its_count_of_callbacks_by_the_name_that_is_replaced() -> None:
    from ray.air._internal import usage
    from ray.tune import Callback, tune

    from kaggle_ray.launch.ray_usage import callbacks_uncounted

    assert "air_usage.tag_callbacks(callbacks)" in inspect.getsource(tune.run)
    trackers = {"ray.air.integrations.comet", "ray.air.integrations.mlflow", "ray.air.integrations.wandb"}
    loaded = trackers & set(sys.modules)
    with callbacks_uncounted():
        assert not usage.tag_callbacks([Callback()])
    assert trackers & set(sys.modules) == loaded
    assert usage.tag_callbacks.__name__ == "tag_callbacks"


@pytest.mark.parametrize("is_cluster", [False, True])
def test_a_group_of_workers_starts_without_helpers_and_asks_an_autoscaler_for_room_where_there_may_be_one(
    is_cluster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import train
    from ray.train.torch import TorchTrainer
    from ray.train.v2._internal.execution.scaling_policy import create_scaling_policy

    from kaggle_ray.launch.ray_trainer import GroupTrainer

    started: dict[str, Any] = {}
    monkeypatch.setattr(TorchTrainer, "_initialize_and_run_controller", lambda self, **options: started.update(options))
    scaling = train.ScalingConfig(num_workers=2)
    trainer = GroupTrainer(print, is_cluster=is_cluster, scaling_config=scaling)
    callbacks = {type(each).__name__ for each in trainer._create_default_callbacks()}
    assert callbacks >= {"BackendSetupCallback", "AcceleratorSetupCallback"}
    assert not callbacks & {"DatasetsCallback", "PlacementGroupCleanerCallback"}
    plain = create_scaling_policy(scaling)
    trainer._initialize_and_run_controller(scaling_policy=plain, callbacks=[])
    policy = started["scaling_policy"]
    assert (policy is plain) == is_cluster
    if not is_cluster:
        policy.after_controller_start(None)
        assert policy.make_decision_for_non_running_worker_group().num_workers == 2
    assert policy._coordinator_client is None


@pytest.mark.slow
def test_a_run_on_one_machine_has_the_processes_that_its_trials_need_and_no_others() -> None:
    import ray

    from kaggle_ray.config.settings import Settings
    from kaggle_ray.launch.placement import RayPlacement
    from kaggle_ray.launch.ray_session import ray_session
    from kaggle_ray.testing.crash import descendants

    with (
        ray_session(Settings(device="cpu", threads_per_trial=1, dtype="float32"), RayPlacement(num_slots=1)) as session,
    ):
        assert session.dashboard is None
        assert ray.get(ray.remote(lambda: 1).options(num_cpus=0).remote()) == 1
        commands = " ".join(descendants(os.getpid()).values())
    for name in ("dashboard/dashboard.py", "autoscaler/_private/monitor.py", "log_monitor.py"):
        assert name not in commands, commands
    assert "raylet" in commands
