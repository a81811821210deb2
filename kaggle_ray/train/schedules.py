"""Learning-rate schedules by name, torch's own, from step to step.

========== ======================================== ================================================================
schedule   ``schedule_args``                        the learning rate
========== ======================================== ================================================================
one_cycle                                           rises for ``warmup`` of the steps, then falls to nearly 0, both
                                                    as a cosine (Smith and Topin, 2018)
cosine                                              rises linearly for ``warmup``, then falls as a cosine to 0
                                                    (Loshchilov and Hutter, "SGDR", ICLR 2017)
linear                                              rises linearly for ``warmup``, then falls linearly to 0
constant                                            stays
step       ``every`` epochs, ``gamma`` (0.1)        is multiplied by gamma after every so many epochs
exponential ``gamma``                               falls in every step, by gamma over each epoch
cyclical   ``num_cycles``, ``low`` (0.1)            rises linearly from low * lr to lr and falls back, so many times
                                                    in the run (Smith, "Cyclical learning rates", WACV 2017)
snapshot   ``num_cycles``                           falls as a cosine from lr to 0 in each cycle, and starts anew
                                                    (Huang et al., "Snapshot ensembles", ICLR 2017)
plateau    ``patience`` (2), ``gamma`` (0.1)        is multiplied by gamma once the training loss has not fallen for
                                                    more than patience epochs
by_epoch   epochs, such as ``{"1": 1e-3}``          is what the dictionary says, from that epoch on; ``lr`` before
========== ======================================== ================================================================

A plateau is looked for in the training loss: found on the fold that is scored, it would be a selection by that fold.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.schedule_args import cycle_ends
from kaggle_ray.train.optim import LR_FACTOR
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue

_FEW_STEPS = 5
"""Fewer than this leave no room to rise and fall: the learning rate stays as it is."""
_NEEDS_ROOM = ("one_cycle", "cosine", "linear", "cyclical")


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
        return max(self._lrs())

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
        return {"lrs": self._lrs(), "scheduler": copy.deepcopy({k: v for k, v in own.items() if not _is_infinite(v)})}

    def load_state_dict(self, state: Mapping[str, JsonValue]) -> None:
        """Go on where ``state`` was taken, from a new schedule of the same hyperparameters and groups."""
        saved = from_json(_SavedSchedule, state, where="checkpoint: schedule")
        assert len(saved.lrs) == len(self._optimizer.param_groups), "the state is of another optimizer's groups"
        self._scheduler.load_state_dict(copy.deepcopy(dict(saved.scheduler)))
        for group, lr in zip(self._optimizer.param_groups, saved.lrs, strict=True):
            group["lr"] = lr

    def _lrs(self) -> list[float]:
        return [float(group["lr"]) for group in self._optimizer.param_groups]


def make_schedule(optimizer: Optimizer, hyperparameters: Hyperparameters, steps_per_epoch: int) -> Schedule:
    """Return the schedule of a run of ``epochs`` times ``steps_per_epoch`` optimizer steps.

    A run of few steps, which leave no room to rise and fall, keeps its learning rate.
    """
    num_steps = steps_per_epoch * hyperparameters.training.epochs
    name = hyperparameters.schedule.name
    if num_steps < _FEW_STEPS and name in _NEEDS_ROOM:
        name = "constant"
    return Schedule(optimizer, _SCHEDULERS[name](optimizer, hyperparameters, steps_per_epoch, num_steps))


def snapshot_epochs(hyperparameters: Hyperparameters) -> tuple[int, ...]:
    """Return the epochs, 1 for the first, that end a cycle of the snapshot schedule; none for another schedule.

    Cycles end with epochs. Where the epochs do not divide evenly, the cycles differ by one epoch at most.
    """
    if hyperparameters.schedule.name != "snapshot":
        return ()
    return cycle_ends(hyperparameters.training.epochs, int(_args(hyperparameters)["num_cycles"]))


def _args(hyperparameters: Hyperparameters) -> dict[str, float]:
    return hyperparameters.schedule.full_args(epochs=hyperparameters.training.epochs)


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _one_cycle(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    rising = min(max(round(given.schedule.warmup * num_steps), 2), num_steps - 2) / num_steps
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, peaks, total_steps=num_steps, pct_start=rising, cycle_momentum=False)


def _cosine(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    num_warmup = round(given.schedule.warmup * num_steps)
    return _after_warmup(optimizer, num_warmup, CosineAnnealingLR(optimizer, T_max=max(1, num_steps - num_warmup)))


def _linear(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    num_warmup = round(given.schedule.warmup * num_steps)
    fall = LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=max(1, num_steps - num_warmup))
    return _after_warmup(optimizer, num_warmup, fall)


def _after_warmup(optimizer: Optimizer, num_warmup: int, scheduler: LRScheduler) -> LRScheduler:
    if not num_warmup:
        return scheduler
    rise = LinearLR(optimizer, start_factor=1 / (num_warmup + 1), total_iters=num_warmup)
    return SequentialLR(optimizer, [rise, scheduler], milestones=[num_warmup])


def _constant(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    return ConstantLR(optimizer, factor=1.0)


def _step(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    args = _args(given)
    return StepLR(optimizer, step_size=int(args["every"]) * per_epoch, gamma=args["gamma"])


def _exponential(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    return ExponentialLR(optimizer, gamma=_args(given)["gamma"] ** (1 / per_epoch))


def _cyclical(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    args = _args(given)
    peaks = [group["lr"] for group in optimizer.param_groups]
    half: Any = num_steps / (2 * args["num_cycles"])  # torch names it an int, and takes fractions of a step
    return CyclicLR(
        optimizer, [args["low"] * peak for peak in peaks], peaks, step_size_up=half, cycle_momentum=False
    )  # fmt: skip


def _snapshot(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    """Torch's CosineAnnealingWarmRestarts has cycles of one length only; these may differ by an epoch."""
    ends = [epoch * per_epoch for epoch in snapshot_epochs(given)]
    cycles = [CosineAnnealingLR(optimizer, T_max=end - start) for start, end in itertools.pairwise([0, *ends])]
    return SequentialLR(optimizer, cycles, milestones=ends[:-1])  # type: ignore[arg-type]


def _plateau(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    args = _args(given)
    return ReduceLROnPlateau(optimizer, factor=args["gamma"], patience=int(args["patience"]), eps=0.0)


def _by_epoch(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    from_epoch = sorted((int(epoch), lr) for epoch, lr in _args(given).items())

    def lr_of(step: int) -> float:
        return _last_up_to(from_epoch, step // per_epoch + 1, default=given.optimizer.lr)

    for group in optimizer.param_groups:
        group["lr"] = group[LR_FACTOR]  # of which LambdaLR takes lr_of as a multiple: the very numbers given
    return LambdaLR(optimizer, lr_of)


def _last_up_to(values: Sequence[tuple[int, float]], epoch: int, *, default: float) -> float:
    """Return the value of the last of the ascending epochs that is not after ``epoch``."""
    return next((value for start, value in reversed(values) if start <= epoch), default)


_SCHEDULERS: Mapping[str, Callable[[Optimizer, Hyperparameters, int, int], LRScheduler]] = {
    "one_cycle": _one_cycle,
    "cosine": _cosine,
    "constant": _constant,
    "linear": _linear,
    "step": _step,
    "exponential": _exponential,
    "cyclical": _cyclical,
    "snapshot": _snapshot,
    "plateau": _plateau,
    "by_epoch": _by_epoch,
}
