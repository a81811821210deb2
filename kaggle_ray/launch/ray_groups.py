"""The placement groups of this job: what its processes have reserved on Ray, and how it is given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray._private.state import state
from ray._raylet import ActorID, PlacementGroupID
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.util.placement_group import PlacementGroup


def remove_orphaned_groups() -> None:
    """Remove the placement groups of this job that an actor made which is dead.

    Ray itself keeps a group as long as its job. Ray Train has a cleaner for those of its controllers, which asks the
    dashboard whether a controller lives, for ever where there is none: ``GroupTrainer`` starts without it.
    """
    # Ray takes the creator of a group that a driver made, as Tune does, for an actor that is dead.
    _remove_groups(lambda group: group.creator_actor_dead and not ActorID(group.creator_actor_id).is_nil())


def remove_groups_of(actor_id: str) -> None:
    """Remove the placement groups that an actor of this job made: Ray kills what runs in them, stopped or not."""
    _remove_groups(lambda group: group.creator_actor_id.hex() == actor_id)


def _remove_groups(chosen: Callable[[Any], bool]) -> None:
    job_id = ray.get_runtime_context().get_job_id()
    for serialized in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(serialized)
        is_ours = group.creator_job_id.hex() == job_id
        if is_ours and chosen(group) and group.state != PlacementGroupTableData.REMOVED:
            ray.util.remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
