from __future__ import annotations

import pytest

from kaggle_ray.config.settings import Device, Settings
from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.ray_resources import NodeKind, Resources, check_fits, num_fitting, process_resources, room_for

CPUS = NodeKind(resources={"CPU": 4}, num_nodes=1)
GPUS = NodeKind(resources={"CPU": 8, "GPU": 2}, num_nodes=2)
SPOT = NodeKind(resources={"CPU": 8, "GPU": 1}, num_nodes=3, is_launchable=True)


def needed(device: Device, *, threads: int = 1, gpus_per_trial: float = 1.0) -> Resources:
    settings = Settings(device=device, threads_per_trial=threads, dtype="float32")
    return process_resources(settings, gpus_per_trial=gpus_per_trial)


def test_slots_are_counted_node_by_node() -> None:
    assert num_fitting(needed("cpu", threads=3), [CPUS, GPUS]) == 1 + 2 * 2
    assert num_fitting(needed("cuda"), [CPUS, GPUS]) == 4
    assert num_fitting(needed("cuda", threads=8), [CPUS, GPUS]) == 2


def test_a_trial_that_never_finds_room_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match="here: a trial needs a process of 1 CPU and 1 GPU, and there is 1 node of 4"):
        check_fits(needed("cuda"), 1, [CPUS], where="here")
    with pytest.raises(ConfigError, match="needs 5 processes of 1 CPU and 1 GPU each, and there is 2 nodes of 8 CPU"):
        check_fits(needed("cuda"), 5, [GPUS], where="here")
    with pytest.raises(ConfigError, match="and there is no node"):
        check_fits(needed("cpu"), 1, [], where="here")


def test_processes_of_a_trial_may_be_on_several_nodes() -> None:
    check_fits(needed("cuda"), 4, [GPUS], where="here")


def test_nodes_that_would_be_launched_count() -> None:
    check_fits(needed("cuda"), 3, [CPUS, SPOT], where="here")
    with pytest.raises(ConfigError, match="1 node of 4 CPU and 0 GPU; up to 3 nodes of 8 CPU and 1 GPU"):
        check_fits(needed("cuda"), 4, [CPUS, SPOT], where="here")


def test_a_share_of_a_gpu_lies_on_one_gpu() -> None:
    assert num_fitting(needed("cuda", gpus_per_trial=0.5), [CPUS, GPUS]) == 2 * 2 * 2
    assert num_fitting(needed("cuda", gpus_per_trial=0.4), [GPUS]) == 2 * 2 * 2, "what is left of two is of no use"
    assert num_fitting(needed("cuda", gpus_per_trial=0.1, threads=4), [GPUS]) == 2 * 2, "there are 8 cores to a node"
    with pytest.raises(ConfigError, match=r"needs a process of 1 CPU and 0\.5 GPU, and there is 1 node of 4 CPU"):
        check_fits(needed("cuda", gpus_per_trial=0.5), 1, [CPUS], where="here")


@pytest.mark.parametrize(
    ("gpus_per_trial", "num_trials", "num_gpus"), [(1.0, 3, 3), (0.5, 3, 2), (0.3, 3, 1), (0.3, 4, 2), (0.1, 10, 1)]
)
def test_a_machine_has_as_many_gpus_as_its_slots_share(gpus_per_trial: float, num_trials: int, num_gpus: int) -> None:
    shared = needed("cuda", threads=2, gpus_per_trial=gpus_per_trial)
    machine = room_for(shared, num_trials)
    assert machine == {"CPU": 2 * num_trials, "GPU": num_gpus}
    assert num_fitting(shared, [NodeKind(resources=machine, num_nodes=1)]) >= num_trials
    assert room_for(needed("cpu", threads=2), num_trials)["GPU"] == 0
