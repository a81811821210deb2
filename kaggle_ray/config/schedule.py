"""The hyperparameters of the learning rate's way from step to step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kaggle_ray.config.part import called, check_types, require
from kaggle_ray.config.schedule_args import full_schedule_args
from kaggle_ray.types import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleHyperparameters:
    """How the learning rate changes from step to step."""

    name: str = field(default="one_cycle", metadata=called("schedule"))
    """A name of ``kaggle_ray.train.schedules``: one_cycle, cosine, linear, constant, step, exponential, cyclical,
    snapshot, plateau, by_epoch, or one that the competition's file registers."""
    args: Mapping[str, JsonValue] = field(default_factory=dict, metadata=called("schedule_args"))
    """Arguments of the schedule, such as ``{"num_cycles": 4}``; see ``kaggle_ray.train.schedules``."""
    warmup: float = 0.25
    """Fraction of all steps in which the learning rate rises; for one_cycle, cosine and linear."""

    def __post_init__(self) -> None:
        """Check every value's type and range, but the arguments, which depend on the epochs. Raises ConfigError."""
        check_types(self)
        require(0 <= self.warmup < 1, "warmup", "from 0 to below 1", self.warmup)

    def full_args(self, *, epochs: int) -> dict[str, Any]:
        """Return the arguments with the schedule's defaults filled in, for a run of ``epochs``. Raises ConfigError."""
        return full_schedule_args(self.name, self.args, epochs=epochs)
