"""What a cluster has, and whether a trial finds room on it: now, or on nodes that its autoscaler would launch."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ray
from ray._private.state import state

from kaggle_ray.config.settings import Settings, trials_per_gpu
from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError

Resources = Mapping[str, float]
"""Name as Ray knows it, such as CPU -> amount."""

_COUNTED = ("CPU", "GPU")
_MOST_NODES = 1000
"""Nodes of one type that are counted where its number has no limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeKind:
    """Nodes of a cluster with the same resources."""

    resources: Resources
    num_nodes: int
    is_launchable: bool = False
    """Whether they are not there yet, and the autoscaler would launch them."""

    def __str__(self) -> str:
        """Return such as ``2 nodes of 8 CPU and 1 GPU``."""
        amounts = " and ".join(f"{self.resources.get(name, 0):g} {name}" for name in _COUNTED)
        nodes = "node" if self.num_nodes == 1 else "nodes"
        return f"{'up to ' if self.is_launchable else ''}{self.num_nodes} {nodes} of {amounts}"


def process_resources(settings: Settings, *, gpus_per_trial: float = 1.0) -> Resources:
    """Return what each process of a trial occupies: a whole GPU, or the share that a trial of one process takes."""
    return {"CPU": settings.threads_per_trial, "GPU": gpus_per_trial if settings.device == "cuda" else 0}


def room_for(needed: Resources, num_processes: int) -> dict[str, int]:
    """Return the cores and whole GPUs of one node that so many processes fit on, and no more of the GPUs."""
    share = needed["GPU"]
    num_gpus = math.ceil(num_processes / trials_per_gpu(share)) if share else 0
    return {"CPU": num_processes * int(needed["CPU"]), "GPU": num_gpus}


def num_fitting(needed: Resources, kinds: Sequence[NodeKind]) -> int:
    """Return how many times ``needed`` fits, each on one node."""
    return sum(kind.num_nodes * _num_on_one(needed, kind.resources) for kind in kinds)


def check_fits(needed: Resources, num_processes: int, kinds: Sequence[NodeKind], *, where: str) -> None:
    """Raise ConfigError where a trial never finds room, with what there is: Ray would wait for ever.

    Each of its processes has to fit on a node.
    """
    if num_fitting(needed, kinds) >= num_processes:
        return
    processes = counted(num_processes, "process") if num_processes > 1 else "a process"
    amounts = " and ".join(f"{amount:g} {name}" for name, amount in needed.items() if amount)
    each = " each" if num_processes > 1 else ""
    there_is = "; ".join(str(kind) for kind in kinds) or "no node"
    raise ConfigError(
        f"{where}: a trial needs {processes} of {amounts}{each}, and there is {there_is}. "
        f"Ask for less (--threads, --processes, --device), or add nodes."
    )


def nodes_of_cluster() -> list[NodeKind]:
    """Return the nodes of the cluster that this process is connected to, and those that could be launched."""
    present = [NodeKind(resources=_counted(node["Resources"]), num_nodes=1) for node in ray.nodes() if node["Alive"]]
    kinds = {tuple(node.resources.items()): node for node in present}
    counts = [tuple(node.resources.items()) for node in present]
    there = [NodeKind(resources=kind.resources, num_nodes=counts.count(key)) for key, kind in kinds.items()]
    return there + _launchable_nodes()


def _launchable_nodes() -> list[NodeKind]:
    config = state.get_cluster_config()  # as the autoscaler reports it; a cluster without one has none
    if config is None:
        return []
    return [
        NodeKind(
            resources=_counted(group.resources),
            num_nodes=_MOST_NODES if group.max_count < 0 else min(group.max_count, _MOST_NODES),
            is_launchable=True,
        )
        for group in config.node_group_configs
        if group.max_count
    ]


def _counted(resources: Resources) -> Resources:
    return {name: float(resources[name]) for name in _COUNTED if name in resources}


def _num_on_one(needed: Resources, node: Resources) -> int:
    return min((_num_in(node.get(name, 0), amount) for name, amount in needed.items() if amount), default=sys.maxsize)


def _num_in(there: float, amount: float) -> int:
    """Return how many times an amount is there; less than one, which only a GPU is shared by, lies on one of them."""
    return int(there) * trials_per_gpu(amount) if amount < 1 else int(there // amount)
