"""The schedule noun: the learning rates of an optimizer's groups, and what a checkpoint keeps of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class _SavedSchedule:
    """Where a schedule is, as a checkpoint keeps it."""

    lrs: tuple[float, ...]
    """Learning rates of the optimizer's groups."""
    scheduler: Mapping[str, JsonValue]
    """What torch's scheduler keeps of itself."""


class Schedule:
    """The learning rates of an optimizer's groups, each with its own factor."""

    def __init__(self, optimizer: Optimizer, scheduler: LRScheduler) -> None:
        """Drive ``optimizer`` by torch's ``scheduler``."""
        self._optimizer = optimizer
        self._scheduler = scheduler

    @property
    def lr(self) -> float:
        """Learning rate of the next optimizer step, in the group whose factor is the largest: the head's."""
        return max(self.lrs())

    def step(self) -> None:
        """Go on to the next step: call it after each of the optimizer's."""
        if not isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step()

    def end_epoch(self, train_loss: float) -> None:
        """Take note of the mean training loss of the epoch that ended: call it after the epoch's last step."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(train_loss)

    def state_dict(self) -> dict[str, JsonValue]:
        """Return where the schedule is, as JSON: numbers, words, lists and dictionaries.

        Infinities, which JSON has no word for, are left out: torch uses them for what a new schedule has too.
        """
        own = self._scheduler.state_dict()
        return {"lrs": self.lrs(), "scheduler": copy.deepcopy({k: v for k, v in own.items() if not _is_infinite(v)})}

    def load_state_dict(self, state: Mapping[str, JsonValue]) -> None:
        """Go on where ``state`` was taken, from a new schedule of the same hyperparameters and groups."""
        saved = from_json(_SavedSchedule, state, where="checkpoint: schedule")
        assert len(saved.lrs) == len(self._optimizer.param_groups), "the state is of another optimizer's groups"
        self._scheduler.load_state_dict(copy.deepcopy(dict(saved.scheduler)))
        for group, lr in zip(self._optimizer.param_groups, saved.lrs, strict=True):
            group["lr"] = lr

    def lrs(self) -> list[float]:
        """Return the learning rate of each group in the next optimizer step."""
        return [float(group["lr"]) for group in self._optimizer.param_groups]


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and math.isinf(value)
