"""Ray Train's trainer without the helpers that our trials have no use for, each of them a process to start."""

from __future__ import annotations

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy

NO_PREEMPTION_WATCHER = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
"""Variable of a slot on one machine: no node of it is drained, which is what Ray Train's watcher would look for."""

_UNUSED = (
    # Gives workers their shards of Ray's own datasets, even where there are none: our data is read by the ranks.
    DatasetsCallback,
    # Removes the placement group of a controller that was killed, as ``remove_orphaned_groups`` does in the next slot;
    # and stays behind where the driver was killed, since it ends its process from a thread, where Ray does not let it.
    PlacementGroupCleanerCallback,
)


class GroupTrainer(TorchTrainer):  # type: ignore[misc]
    """Starts a controller and its workers, and beside them no more than these need."""

    def __init__(self, *arguments: Any, is_cluster: bool, **options: Any) -> None:
        """Take what a ``TorchTrainer`` takes; ``is_cluster`` tells whether an autoscaler may launch nodes for it."""
        super().__init__(*arguments, **options)
        self._is_cluster = is_cluster

    def _create_default_callbacks(self) -> list[Any]:
        return [each for each in super()._create_default_callbacks() if not isinstance(each, _UNUSED)]

    def _initialize_and_run_controller(self, *, scaling_policy: Any, **options: Any) -> Any:
        if not self._is_cluster:
            scaling_policy = _OnOneMachine(scaling_policy.scaling_config)
        return super()._initialize_and_run_controller(scaling_policy=scaling_policy, **options)


class _OnOneMachine(FixedScalingPolicy):  # type: ignore[misc]
    """Asks no autoscaler for room, by an actor that the controller would wait for before it starts any worker."""

    def after_controller_start(self, train_run_context: object) -> None:
        """Ask nobody."""

    def _maybe_send_resource_request(self) -> None:
        """Ask nobody."""
