"""Learning-rate schedules by name, from step to step: torch's own, and those that a competition's file registers.

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
cyclical   ``num_cycles``, ``low`` (0.1),           rises linearly from low * lr to lr and falls back, so many times
           ``mode`` (triangular), ``gamma`` (0.9)   in the run; with the mode triangular2 each cycle is half as high
                                                    as the one before, with exp_range the height falls by gamma over
                                                    each epoch (Smith, "Cyclical learning rates", WACV 2017)
snapshot   ``num_cycles``                           falls as a cosine from lr to 0 in each cycle, and starts anew
                                                    (Huang et al., "Snapshot ensembles", ICLR 2017)
plateau    ``patience`` (2), ``gamma`` (0.1),       is multiplied by gamma once the training loss has not fallen for
           ``cooldown`` (0), ``min_lr`` (0)         more than patience epochs, not below min_lr; then as many epochs
                                                    as cooldown do not count
by_epoch   epochs, such as ``{"1": 1e-3}``          is what the dictionary says, from that epoch on; ``lr`` before
========== ======================================== ================================================================

A plateau is looked for in the training loss: found on the fold that is scored, it would be a selection by that fold.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
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

from kaggle_ray.config import Hyperparameters, ScheduleHyperparameters
from kaggle_ray.config.schedule_args import cycle_ends
from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.registry import Registry
from kaggle_ray.train.optim import LR_FACTOR
from kaggle_ray.train.schedule import Schedule

Builder = Callable[..., LRScheduler]
"""Makes a schedule of an optimizer, the number of steps, those of an epoch, and the ``schedule_args``."""
_Own = Callable[[Optimizer, Hyperparameters, int, int], LRScheduler]
"""Makes a schedule of an optimizer, the hyperparameters, the steps of an epoch, and those of the run."""

SCHEDULES: Registry[_Own] = Registry("schedule", of_given=lambda name, build: Registered(name=name, build=build))

_FEW_STEPS = 5
"""Fewer than this leave no room to rise and fall: the learning rate stays as it is."""
_NEEDS_ROOM = ("one_cycle", "cosine", "linear", "cyclical")


def make_schedule(optimizer: Optimizer, hyperparameters: Hyperparameters, steps_per_epoch: int) -> Schedule:
    """Return the schedule of a run of ``epochs`` times ``steps_per_epoch`` optimizer steps.

    A run of few steps, which leave no room to rise and fall, keeps its learning rate.
    """
    num_steps = steps_per_epoch * hyperparameters.training.epochs
    name = hyperparameters.schedule.name
    if num_steps < _FEW_STEPS and name in _NEEDS_ROOM:
        name = "constant"
    return Schedule(optimizer, SCHEDULES[name](optimizer, hyperparameters, steps_per_epoch, num_steps))


def register_schedule(name: str) -> Callable[[Builder], Builder]:
    """Register a builder ``(optimizer, num_steps, steps_per_epoch, **schedule_args)`` of schedules under ``name``.

    It returns one of torch's learning-rate schedulers, which is stepped after each optimizer step. The groups of the
    optimizer have their peak rates, which may differ by layer: scale them rather than set them. A builder that takes
    ``warmup`` gets the hyperparameter of this name.

    >>> import torch
    >>> from kaggle_ray import register_schedule
    >>> @register_schedule("flat_then_cosine")
    ... def flat_then_cosine(optimizer, num_steps, steps_per_epoch, flat=0.7):
    ...     start = round(flat * num_steps)
    ...     constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    ...     cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, num_steps - start))
    ...     return torch.optim.lr_scheduler.SequentialLR(optimizer, [constant, cosine], milestones=[start])
    >>> from kaggle_ray.testing.schedule_contract import check_schedule
    >>> check_schedule(flat_then_cosine, flat=0.5)

    Raises:
        ConfigError: the name is built in, or another builder has it.
    """
    return SCHEDULES.register_as(name, lambda build: Registered(name=name, build=build))


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A schedule that a competition's file has registered."""

    name: str
    build: Builder

    def __call__(self, optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
        """Return what the builder makes of the arguments that the hyperparameters give it.

        Raises:
            ConfigError: it raised, or returned no scheduler of torch's.
        """
        where = f"schedule {self.name!r}"
        own = {"warmup": given.schedule.warmup} if "warmup" in self._taken else {}
        with users_code(f"{where} with schedule_args {dict(given.schedule.args)}"):
            made = self.build(optimizer, num_steps, per_epoch, **own, **given.schedule.args)
        if not isinstance(made, LRScheduler):
            raise ConfigError(f"{where}: expected a scheduler of torch.optim.lr_scheduler, got {type(made).__name__}.")
        return made

    def check(self, args: Iterable[str]) -> None:
        """Raise ConfigError for an argument that the builder does not take."""
        for name in args:
            if name not in (known := self.argument_names):
                raise ConfigError(f"schedule_args: {self.name} has no argument {name!r}{suggest(name, known)}")

    @property
    def argument_names(self) -> list[str]:
        """What ``schedule_args`` may hold."""
        return [name for name in self._taken if name != "warmup"]

    @property
    def _taken(self) -> list[str]:
        """The builder's arguments after those that it is given in any case: optimizer and numbers of steps."""
        return list(inspect.signature(self.build).parameters)[3:]


def check_schedule(given: ScheduleHyperparameters) -> None:
    """Raise ConfigError where there is no such schedule, or a registered one does not take an argument."""
    schedule = SCHEDULES[given.name]
    if isinstance(schedule, Registered):
        schedule.check(given.args)


def snapshot_epochs(hyperparameters: Hyperparameters) -> tuple[int, ...]:
    """Return the epochs, 1 for the first, that end a cycle of the snapshot schedule; none for another schedule.

    Cycles end with epochs. Where the epochs do not divide evenly, the cycles differ by one epoch at most.
    """
    if hyperparameters.schedule.name != "snapshot":
        return ()
    return cycle_ends(hyperparameters.training.epochs, int(_args(hyperparameters)["num_cycles"]))


def _args(hyperparameters: Hyperparameters) -> dict[str, Any]:
    return hyperparameters.schedule.full_args(epochs=hyperparameters.training.epochs)


@SCHEDULES.register("one_cycle")
def _one_cycle(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    rising = min(max(round(given.schedule.warmup * num_steps), 2), num_steps - 2) / num_steps
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, peaks, total_steps=num_steps, pct_start=rising, cycle_momentum=False)


@SCHEDULES.register("cosine")
def _cosine(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    num_warmup = round(given.schedule.warmup * num_steps)
    return _after_warmup(optimizer, num_warmup, CosineAnnealingLR(optimizer, T_max=max(1, num_steps - num_warmup)))


@SCHEDULES.register("linear")
def _linear(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    num_warmup = round(given.schedule.warmup * num_steps)
    fall = LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=max(1, num_steps - num_warmup))
    return _after_warmup(optimizer, num_warmup, fall)


def _after_warmup(optimizer: Optimizer, num_warmup: int, scheduler: LRScheduler) -> LRScheduler:
    if not num_warmup:
        return scheduler
    rise = LinearLR(optimizer, start_factor=1 / (num_warmup + 1), total_iters=num_warmup)
    return SequentialLR(optimizer, [rise, scheduler], milestones=[num_warmup])


@SCHEDULES.register("constant")
def _constant(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    return ConstantLR(optimizer, factor=1.0)


@SCHEDULES.register("step")
def _step(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    args = _args(given)
    return StepLR(optimizer, step_size=int(args["every"]) * per_epoch, gamma=args["gamma"])


@SCHEDULES.register("exponential")
def _exponential(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    return ExponentialLR(optimizer, gamma=_args(given)["gamma"] ** (1 / per_epoch))


@SCHEDULES.register("cyclical")
def _cyclical(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    args = _args(given)
    peaks = [group["lr"] for group in optimizer.param_groups]
    half: Any = num_steps / (2 * args["num_cycles"])  # torch names it an int, and takes fractions of a step
    lows = [args["low"] * peak for peak in peaks]
    of_step = args["gamma"] ** (1 / per_epoch)
    return CyclicLR(
        optimizer, lows, peaks, step_size_up=half, mode=args["mode"], gamma=of_step, cycle_momentum=False
    )  # fmt: skip


@SCHEDULES.register("snapshot")
def _snapshot(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    """Torch's CosineAnnealingWarmRestarts has cycles of one length only; these may differ by an epoch."""
    ends = [epoch * per_epoch for epoch in snapshot_epochs(given)]
    cycles = [CosineAnnealingLR(optimizer, T_max=end - start) for start, end in itertools.pairwise([0, *ends])]
    return SequentialLR(optimizer, cycles, milestones=ends[:-1])  # type: ignore[arg-type]


@SCHEDULES.register("plateau")
def _plateau(optimizer: Optimizer, given: Hyperparameters, per_epoch: int, num_steps: int) -> LRScheduler:
    args = _args(given)
    lowest = [args["min_lr"] * group[LR_FACTOR] for group in optimizer.param_groups]
    return ReduceLROnPlateau(
        optimizer, factor=args["gamma"], patience=args["patience"], cooldown=args["cooldown"], min_lr=lowest, eps=0.0
    )


@SCHEDULES.register("by_epoch")
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
