from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR

from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes
from kaggle_ray.models.network import Network
from kaggle_ray.train.optim import make_optimizer
from kaggle_ray.train.schedule import Schedule
from kaggle_ray.train.schedules import make_schedule, snapshot_epochs

ARGS: dict[str, dict[str, Any]] = {
    "one_cycle": {},
    "cosine": {},
    "constant": {},
    "linear": {},
    "step": {"every": 1, "gamma": 0.3},
    "exponential": {"gamma": 0.7},
    "cyclical": {"num_cycles": 3, "low": 0.2},
    "snapshot": {"num_cycles": 2},
    "plateau": {"patience": 0, "gamma": 0.5},
    "by_epoch": {"1": 0.4, "3": 0.05},
}
SCHEDULES = tuple(ARGS)
LOSSES = (1.0, 0.9, 0.95, 0.97, 0.8)
"""Of the epochs of ``rates``: two of them are no improvement."""


def params(name: str, *, epochs: int = 5, **values: Any) -> Hyperparameters:
    return Hyperparameters(**{"schedule": name, "schedule_args": ARGS[name], "epochs": epochs, "lr": 0.5, **values})


def made(hyperparameters: Hyperparameters, steps_per_epoch: int) -> tuple[Optimizer, Schedule]:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    model = Model(Network(module=layers, fresh=(layers[-1],)), Shapes(num_outputs=2))
    optimizer = make_optimizer(model, hyperparameters.optimizer)
    return optimizer, make_schedule(optimizer, hyperparameters, steps_per_epoch)


def walk(optimizer: Optimizer, schedule: Schedule, steps: range, steps_per_epoch: int) -> list[list[float]]:
    """Return the learning rates of all groups in each of the steps of a run."""
    used: list[list[float]] = []
    for step in steps:
        used.append([float(group["lr"]) for group in optimizer.param_groups])
        assert schedule.lr == used[-1][0]
        optimizer.step()
        schedule.step()
        if (step + 1) % steps_per_epoch == 0:
            schedule.end_epoch(LOSSES[step // steps_per_epoch % len(LOSSES)])
    return used


def rates(hyperparameters: Hyperparameters, steps_per_epoch: int) -> list[float]:
    """Return the head's learning rate in each step of a run."""
    optimizer, schedule = made(hyperparameters, steps_per_epoch)
    steps = range(steps_per_epoch * hyperparameters.training.epochs)
    return [of_groups[0] for of_groups in walk(optimizer, schedule, steps, steps_per_epoch)]


def torchs(num_steps: int, make: Callable[[Optimizer], LRScheduler], *, lr: float = 0.5) -> list[float]:
    """Return the learning rate of each step under a scheduler of torch's."""
    reference = SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(reference)
    expected: list[float] = []
    for _ in range(num_steps):
        expected.append(float(reference.param_groups[0]["lr"]))
        reference.step()
        scheduler.step()
    return expected


# All of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.25, 0.99])
def test_no_schedule_divides_by_zero_or_leaves_its_range(name: str, warmup: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epochs, steps_per_epoch in itertools.product((2, 3, 7), (1, 2, 9)):
            used = rates(params(name, epochs=epochs, warmup=warmup), steps_per_epoch)
            assert len(used) == epochs * steps_per_epoch
            assert all(0 < rate <= 0.5 + 1e-9 for rate in used), (epochs, steps_per_epoch, used)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
@pytest.mark.parametrize("done", [0, 7, 8, 13])
def test_a_schedule_goes_on_from_its_state_to_the_bit(name: str, layer_decay: float, done: int) -> None:
    hyperparameters = params(name, layer_decay=layer_decay)
    straight = walk(*made(hyperparameters, 4), range(20), 4)
    optimizer, schedule = made(hyperparameters, 4)
    before = walk(optimizer, schedule, range(done), 4)
    text = json.dumps(schedule.state_dict(), allow_nan=False)

    optimizer, schedule = made(hyperparameters, 4)
    schedule.load_state_dict(json.loads(text))
    assert before + walk(optimizer, schedule, range(done, 20), 4) == straight


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_state_is_not_changed_by_going_on(name: str) -> None:
    optimizer, schedule = made(params(name), 4)
    walk(optimizer, schedule, range(7), 4)
    state = schedule.state_dict()
    text = json.dumps(state)
    other, resumed = made(params(name), 4)
    resumed.load_state_dict(state)
    walk(other, resumed, range(7, 20), 4)
    walk(optimizer, schedule, range(7, 20), 4)
    assert json.dumps(state) == text


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_group_follows_with_its_own_factor(name: str) -> None:
    used = walk(*made(params(name, layer_decay=0.5), 4), range(20), 4)
    num_stages = 2  # the linear layer, and the convolution with its normalisation
    factors = [0.5**depth for depth in range(num_stages) for _ in range(2)]
    for of_groups in used:
        assert of_groups == pytest.approx([of_groups[0] * factor for factor in factors], rel=1e-9)


# The shape of each ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 0.3])
@pytest.mark.parametrize("num_steps", [5, 8, 40])
def test_one_cycle_is_torchs_to_the_bit(warmup: float, num_steps: int) -> None:
    rising = min(max(round(warmup * num_steps), 2), num_steps - 2) / num_steps
    expected = torchs(
        num_steps, lambda sgd: OneCycleLR(sgd, 0.5, total_steps=num_steps, pct_start=rising, cycle_momentum=False)
    )
    assert rates(params("one_cycle", epochs=1, warmup=warmup), num_steps) == expected


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 0.3])
@pytest.mark.parametrize("num_steps", [5, 8, 40])
def test_cosine_is_torchs_after_a_linear_rise_to_the_bit(warmup: float, num_steps: int) -> None:
    num_warmup = round(warmup * num_steps)

    def make(sgd: Optimizer) -> LRScheduler:
        cosine = CosineAnnealingLR(sgd, T_max=num_steps - num_warmup)
        if not num_warmup:
            return cosine
        rise = LinearLR(sgd, start_factor=1 / (num_warmup + 1), total_iters=num_warmup)
        return SequentialLR(sgd, [rise, cosine], milestones=[num_warmup])

    assert rates(params("cosine", epochs=1, warmup=warmup), num_steps) == torchs(num_steps, make)


@pytest.mark.parametrize("name", ["one_cycle", "cosine", "linear"])
def test_the_rate_rises_for_the_warm_up_and_then_falls(name: str) -> None:
    used = rates(params(name, epochs=4, warmup=0.25), 10)
    peak = used.index(max(used))
    assert 8 <= peak <= 11
    assert all(a < b for a, b in itertools.pairwise(used[: peak + 1]))
    assert all(a > b for a, b in itertools.pairwise(used[peak:]))
    assert used[-1] < 0.05 * max(used)


def test_linear_falls_by_equal_steps() -> None:
    used = rates(params("linear", epochs=4, warmup=0.25), 10)
    assert used[:10] == pytest.approx([0.5 * (step + 1) / 11 for step in range(10)])
    assert used[10:] == pytest.approx([0.5 * (1 - step / 30) for step in range(30)])


def test_constant_is_constant() -> None:
    assert set(rates(params("constant"), 6)) == {0.5}


def test_a_step_comes_after_every_so_many_epochs() -> None:
    used = rates(params("step", epochs=5, schedule_args={"every": 2, "gamma": 0.1}), 3)
    assert used == pytest.approx([0.5] * 6 + [0.05] * 6 + [0.005] * 3)


def test_exponential_falls_by_gamma_over_each_epoch() -> None:
    used = rates(params("exponential", schedule_args={"gamma": 0.5}), 4)
    assert used[::4] == pytest.approx([0.5 * 0.5**epoch for epoch in range(5)])
    assert all(a > b for a, b in itertools.pairwise(used))


def test_cyclical_rises_from_low_and_returns_so_many_times() -> None:
    used = rates(params("cyclical", epochs=3, schedule_args={"num_cycles": 3, "low": 0.2}), 8)
    one = [0.1 + 0.4 * (1 - abs(step - 4) / 4) for step in range(8)]
    assert used == pytest.approx(one * 3)


def test_snapshot_falls_as_a_cosine_in_each_cycle_and_starts_anew_with_an_epoch() -> None:
    hyperparameters = params("snapshot", epochs=7, schedule_args={"num_cycles": 3})
    assert snapshot_epochs(hyperparameters) == (2, 4, 7)
    used = rates(hyperparameters, 4)
    expected = [
        0.25 * (1 + math.cos(math.pi * step / (4 * length))) for length in (2, 2, 3) for step in range(4 * length)
    ]
    assert used == pytest.approx(expected)


def test_cycles_end_with_epochs_and_differ_by_one_at_most() -> None:
    for epochs, num_cycles in itertools.product(range(1, 30), range(1, 12)):
        if num_cycles > epochs:
            continue
        ends = snapshot_epochs(params("snapshot", epochs=epochs, schedule_args={"num_cycles": num_cycles}))
        lengths = [end - start for start, end in itertools.pairwise([0, *ends])]
        assert len(ends) == num_cycles
        assert ends[-1] == epochs
        assert 1 <= min(lengths) <= max(lengths) <= min(lengths) + 1


def test_no_other_schedule_has_snapshots() -> None:
    assert not any(snapshot_epochs(params(name)) for name in SCHEDULES if name != "snapshot")


def test_a_plateau_of_the_training_loss_lowers_the_rate_from_the_next_epoch_on() -> None:
    used = rates(params("plateau", schedule_args={"patience": 1, "gamma": 0.1}), 3)
    assert used == pytest.approx([0.5] * 12 + [0.05] * 3)  # the losses of epochs 3 and 4 are above the second's
    assert rates(params("plateau", schedule_args={"patience": 0, "gamma": 0.1}), 1) == pytest.approx(
        [0.5, 0.5, 0.5, 0.05, 0.005]
    )


def test_a_plateau_lowers_the_smallest_rates_too() -> None:
    optimizer, schedule = made(params("plateau", lr=1e-7, layer_decay=0.1), 1)
    walk(optimizer, schedule, range(5), 1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([2.5e-8, 2.5e-8, 2.5e-9, 2.5e-9])


def test_by_epoch_the_rates_are_the_very_ones_given() -> None:
    args = {"10": 1e-4, "2": 1e-3, "4": 3e-4}
    used = rates(params("by_epoch", epochs=11, schedule_args=args, lr=0.1), 2)
    assert used == [0.1] * 2 + [1e-3] * 4 + [3e-4] * 12 + [1e-4] * 4


# What a user can get wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("step", {"evry": 3}, "step has no argument 'evry'. Did you mean 'every'?"),
        ("step", {}, "step needs 'every', such as"),
        ("step", {"every": 1.5}, "step's 'every': expected a whole number of at least 1, got 1.5"),
        ("step", {"every": True}, "expected a whole number"),
        ("step", {"every": 1, "gamma": 1}, "step's 'gamma': expected a number above 0 and below 1, got 1"),
        ("exponential", {"gamma": "0.9"}, "expected a number above 0 and below 1, got '0.9'"),
        ("cosine", {"num_cycles": 2}, "cosine has no argument 'num_cycles'; it takes none"),
        ("snapshot", {"num_cycles": 6}, "at most one per epoch, 5, got 6"),
        ("plateau", {"patience": -1}, "expected a whole number of at least 0, got -1"),
        ("by_epoch", {}, "by_epoch needs an epoch"),
        ("by_epoch", {"first": 0.1}, "expected epochs as text from '1', got 'first'"),
        ("by_epoch", {1: 0.1}, "expected epochs as text from '1', got 1"),
        ("by_epoch", {"0": 0.1}, "expected epochs as text from '1', got '0'"),
        ("by_epoch", {"1": 0}, "by_epoch's '1': expected a learning rate above 0, got 0"),
    ],
)
def test_an_argument_that_no_schedule_takes_is_refused_by_name(name: str, args: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Hyperparameters(schedule=name, schedule_args=args, epochs=5)
    assert message in str(caught.value)
