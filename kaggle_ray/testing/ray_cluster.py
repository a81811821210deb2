"""A Ray cluster of several nodes on this machine, and what may befall it: for tests of what a run survives."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from kaggle_ray.testing.crash import descendants

if TYPE_CHECKING:
    from ray._private.node import Node

logger = logging.getLogger(__name__)

_NODE_MEMORY = 80 * 2**20
"""Bytes of a node's object store: the least that Ray takes is 75 MiB."""
_NUM_TRIES = 4
"""A raylet gives up where its agents are not there within 15 s, which a machine busy with other tests may miss."""
_START_S = 60
_NO_WORKERS = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::packages")
"""Titles of processes that work at no trial; the last one tells a driver what its node has."""
_DRIVING = ("ray::ResourceTrainable", "ray::TrainController", "ray::Exchange")
_NICENESS = {"RAY_worker_niceness": "0"}
"""Niceness of workers, as in a run's own Ray: with Ray's 15 tests that run beside these would starve them."""


class ToyCluster:
    """A head, where drivers are and by default no trials, and nodes that come and go."""

    def __init__(
        self,
        *,
        num_nodes: int,
        cpus_per_node: int = 1,
        cpus_of_head: int = 0,
        environment: Mapping[str, str] | None = None,
        dashboard: bool = False,
    ) -> None:
        """Start the head and ``num_nodes`` nodes; see ``toy_cluster``, which also ends them."""
        from ray.cluster_utils import Cluster

        self._cpus_per_node = cpus_per_node
        self._environment = {**_NICENESS, **(environment or {})}
        self._cluster = Cluster()
        self._nodes: list[Node] = []
        """Nodes that work, the eldest first."""
        self._head = self._start(
            num_cpus=cpus_of_head,
            include_dashboard=dashboard,
            dashboard_agent_listen_port=0,  # by default one that is the same for each Ray of this machine
            env_vars=self._environment,
        )
        for _ in range(num_nodes):
            self.add_node()

    @property
    def address(self) -> str:
        """What a driver's RAY_ADDRESS has to say."""
        return str(self._cluster.address)

    @property
    def dashboard_url(self) -> str:
        """Where jobs are submitted, of a cluster with a dashboard."""
        return f"http://{self._head.webui_url}"

    @property
    def num_nodes(self) -> int:
        """How many nodes work, the head aside."""
        return len(self._nodes)

    def add_node(self, env_vars: Mapping[str, str] | None = None) -> None:
        """Let a node join, whose processes see ``env_vars`` beside the usual variables."""
        variables = {**self._environment, **(env_vars or {})}
        self._nodes.append(self._start(num_cpus=self._cpus_per_node, env_vars=variables))

    def workers(self, number: int | None = None) -> list[int]:
        """Return the ids of the processes that do a trial's work, on the node of that number or on all of them."""
        nodes = self._nodes if number is None else [self._nodes[number]]
        return sorted(
            pid
            for node in nodes
            for pid, command in descendants(_raylet_of(node)).items()
            if command.startswith("ray::") and not command.startswith(_NO_WORKERS)
        )

    def slots(self) -> list[int]:
        """Return the ids of the head's processes that drive the workers of a trial of several: three per slot."""
        processes = descendants(_raylet_of(self._head))
        return sorted(pid for pid, command in processes.items() if command.startswith(_DRIVING))

    def lose_node(self, number: int) -> None:
        """Kill a node's raylet; its other processes end by themselves, as they do where a machine goes."""
        node = self._nodes.pop(number)
        for pid in [_raylet_of(node), *descendants(_raylet_of(node))]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)

    def drain_node(self, number: int, *, seconds: int) -> None:
        """Give notice that a node goes, as a watcher of a spot machine's metadata does; lose it ``seconds`` later."""
        from ray._raylet import GcsClient  # type: ignore[attr-defined]  # its stub lacks it
        from ray.core.generated.autoscaler_pb2 import DrainNodeReason

        is_accepted, why_not = GcsClient(address=self.address).drain_node(
            self._nodes[number].node_id,
            DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
            "spot notice",
            int((time.time() + seconds) * 1000),
        )
        assert is_accepted, why_not
        time.sleep(seconds)
        self.lose_node(number)

    def _start(self, **arguments: Any) -> Node:
        for tries_left in reversed(range(_NUM_TRIES)):
            try:
                node = self._cluster.add_node(wait=False, object_store_memory=_NODE_MEMORY, **arguments)
                self._cluster.wait_for_nodes(timeout=_START_S)
            except Exception as error:  # Ray's own are of no narrower type
                if not tries_left:
                    raise
                logger.warning("a node did not start and is started again: %s", error)
            else:
                return node
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


@contextmanager
def toy_cluster(
    *,
    num_nodes: int,
    cpus_per_node: int = 1,
    cpus_of_head: int = 0,
    environment: Mapping[str, str] | None = None,
    dashboard: bool = False,
) -> Iterator[ToyCluster]:
    """Yield a cluster of this machine's, whose nodes see ``environment``, too, and end its processes afterwards."""
    cluster = ToyCluster(
        num_nodes=num_nodes,
        cpus_per_node=cpus_per_node,
        cpus_of_head=cpus_of_head,
        environment=environment,
        dashboard=dashboard,
    )
    try:
        yield cluster
    finally:
        cluster.close()


def _raylet_of(node: Node) -> int:
    return int(node.all_processes["raylet"][0].process.pid)
