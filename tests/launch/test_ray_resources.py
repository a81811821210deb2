from __future__ import annotations

import pytest

from kaggle_ray.config.settings import Device, Settings
from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.ray_resources import NodeKind, check_fits, num_fitting, process_resources

CPUS = NodeKind(resources={"CPU": 4}, num_nodes=1)
GPUS = NodeKind(resources={"CPU": 8, "GPU": 2}, num_nodes=2)
SPOT = NodeKind(resources={"CPU": 8, "GPU": 1}, num_nodes=3, is_launchable=True)


def settings(device: Device, *, threads: int = 1, world_size: int = 1) -> Settings:
    return Settings(device=device, threads_per_trial=threads, dtype="float32", world_size=world_size)


def test_slots_are_counted_node_by_node() -> None:
    assert num_fitting(process_resources(settings("cpu", threads=3)), [CPUS, GPUS]) == 1 + 2 * 2
    assert num_fitting(process_resources(settings("cuda")), [CPUS, GPUS]) == 4
    assert num_fitting(process_resources(settings("cuda", threads=8)), [CPUS, GPUS]) == 2


def test_a_trial_that_never_finds_room_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match="here: a trial needs a process of 1 CPU and 1 GPU, and there is 1 node of 4"):
        check_fits(settings("cuda"), [CPUS], where="here")
    with pytest.raises(ConfigError, match="needs 5 processes of 1 CPU and 1 GPU each, and there is 2 nodes of 8 CPU"):
        check_fits(settings("cuda", world_size=5), [GPUS], where="here")
    with pytest.raises(ConfigError, match="and there is no node"):
        check_fits(settings("cpu"), [], where="here")


def test_processes_of_a_trial_may_be_on_several_nodes() -> None:
    check_fits(settings("cuda", world_size=4), [GPUS], where="here")


def test_nodes_that_would_be_launched_count() -> None:
    check_fits(settings("cuda", world_size=3), [CPUS, SPOT], where="here")
    with pytest.raises(ConfigError, match="1 node of 4 CPU and 0 GPU; up to 3 nodes of 8 CPU and 1 GPU"):
        check_fits(settings("cuda", world_size=4), [CPUS, SPOT], where="here")
