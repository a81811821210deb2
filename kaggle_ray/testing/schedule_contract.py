"""The contract of a learning-rate schedule: call ``check_schedule`` in a test of each one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler

from kaggle_ray.config import Hyperparameters
from kaggle_ray.train.optim import LR_FACTOR
from kaggle_ray.train.schedule import Schedule
from kaggle_ray.train.schedules import Registered
from kaggle_ray.types import JsonValue

_LR, _FACTOR = 0.5, 0.1
_EPOCHS, _STEPS_PER_EPOCH = 4, 5

Make = Callable[[int, int], Schedule]
"""Makes a new schedule of so many epochs, each of so many steps."""


def check_schedule(build: Callable[..., LRScheduler], **schedule_args: JsonValue) -> None:
    """Check what a fit relies on, with two groups of which the second learns at a tenth of the first one's rate.

    Args:
        build: what ``register_schedule`` registers.
        schedule_args: of the builder.

    Raises:
        Exception: whatever the schedule raised, or an AssertionError, with the name of the check.
    """
    registered = Registered(name=getattr(build, "__name__", "the schedule"), build=build)
    registered.check(schedule_args)

    def make(epochs: int, per_epoch: int) -> Schedule:
        groups = [
            {"params": [nn.Parameter(torch.zeros(1))], "lr": _LR * factor, LR_FACTOR: factor}
            for factor in (1.0, _FACTOR)
        ]
        optimizer = SGD(groups)
        given = Hyperparameters(
            schedule=registered.name, schedule_args=schedule_args, epochs=epochs, lr=_LR, warmup=0.25
        )
        schedule = Schedule(optimizer, registered(optimizer, given, per_epoch, epochs * per_epoch))
        optimizer.step()  # without a gradient it does nothing, and torch warns of schedules that precede all steps
        return schedule

    for check in (
        _rates_are_finite_and_one_is_above_nothing,
        _layers_keep_their_share_of_the_rate,
        _a_single_step_has_a_rate,
        _a_saved_state_goes_on_at_the_same_rates,
    ):
        try:
            check(make)
        except Exception as error:
            error.add_note(f"in the check {check.__name__.strip('_')!r} of the schedule's contract")
            raise


def _walk(schedule: Schedule, steps: range) -> list[list[float]]:
    """Return the rates of both groups before each step; the loss of an epoch is that of one that learns ever less."""
    rates: list[list[float]] = []
    for step in steps:
        rates.append(schedule.lrs())
        schedule.step()
        if (step + 1) % _STEPS_PER_EPOCH == 0:
            schedule.end_epoch(1.0 + 1 / (step + 1))
    return rates


def _rates_are_finite_and_one_is_above_nothing(make: Make) -> None:
    rates = _walk(make(_EPOCHS, _STEPS_PER_EPOCH), range(_EPOCHS * _STEPS_PER_EPOCH))
    assert all(math.isfinite(rate) and rate >= 0 for of_step in rates for rate in of_step)
    assert max(map(max, rates)) > 0


def _layers_keep_their_share_of_the_rate(make: Make) -> None:
    for head, below in _walk(make(_EPOCHS, _STEPS_PER_EPOCH), range(_EPOCHS * _STEPS_PER_EPOCH)):
        assert math.isclose(below, _FACTOR * head, rel_tol=1e-6, abs_tol=1e-12), f"{below} beside {head}"


def _a_single_step_has_a_rate(make: Make) -> None:
    ((rate, _),) = _walk(make(1, 1), range(1))
    assert math.isfinite(rate)


def _a_saved_state_goes_on_at_the_same_rates(make: Make) -> None:
    num_steps, middle = _EPOCHS * _STEPS_PER_EPOCH, _STEPS_PER_EPOCH + 2
    schedule, fresh = make(_EPOCHS, _STEPS_PER_EPOCH), make(_EPOCHS, _STEPS_PER_EPOCH)
    _walk(schedule, range(middle))
    fresh.load_state_dict(json.loads(json.dumps(schedule.state_dict(), allow_nan=False)))
    assert _walk(schedule, range(middle, num_steps)) == _walk(fresh, range(middle, num_steps))
