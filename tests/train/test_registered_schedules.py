from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, PolynomialLR

from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.schedule_contract import check_schedule as check_contract
from kaggle_ray.train.optim import LR_FACTOR
from kaggle_ray.train.schedules import check_schedule, make_schedule, register_schedule


def polynomial(optimizer: Optimizer, num_steps: int, steps_per_epoch: int, power: float = 1.0) -> LRScheduler:
    return PolynomialLR(optimizer, total_iters=num_steps, power=power)


def rates(hyperparameters: Hyperparameters, per_epoch: int = 2) -> list[float]:
    optimizer = SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": hyperparameters.optimizer.lr, LR_FACTOR: 1.0}])
    schedule = make_schedule(optimizer, hyperparameters, per_epoch)
    found = []
    for step in range(per_epoch * hyperparameters.training.epochs):
        found.append(schedule.lr)
        optimizer.step()
        schedule.step()
        if (step + 1) % per_epoch == 0:
            schedule.end_epoch(1.0)
    return found


def test_a_registered_schedule_gets_the_steps_of_the_run_and_its_arguments() -> None:
    check_contract(polynomial, power=2.0)
    with registrations_undone():
        register_schedule("polynomial")(polynomial)
        given = Hyperparameters(schedule="polynomial", schedule_args={"power": 2.0}, epochs=2, lr=1.0)
        check_schedule(given.schedule)
        assert rates(given) == pytest.approx([1.0, 0.5625, 0.25, 0.0625])


def test_a_builder_that_takes_warmup_gets_the_hyperparameter() -> None:
    def rising(optimizer: Optimizer, num_steps: int, steps_per_epoch: int, warmup: float) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup * num_steps)))

    with registrations_undone():
        register_schedule("rising")(rising)
        assert rates(Hyperparameters(schedule="rising", epochs=2, lr=1.0, warmup=0.5)) == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "steps"}, r"unknown schedule 'steps'\. Did you mean 'step'\?"),
        ({"schedule": "polynomial", "schedule_args": {"powr": 2}}, r"has no argument 'powr'\. Did you mean 'power'"),
        ({"schedule": "polynomial", "schedule_args": {"warmup": 0.1}}, "polynomial has no argument 'warmup'"),
    ],
)  # fmt: skip
def test_a_schedule_or_an_argument_that_there_is_not_is_named(values: dict[str, Any], message: str) -> None:
    with registrations_undone():
        register_schedule("polynomial")(polynomial)
        with pytest.raises(ConfigError, match=message):
            check_schedule(Hyperparameters(**values).schedule)


def test_what_a_builder_returns_has_to_be_a_scheduler_of_torch() -> None:
    with registrations_undone():
        register_schedule("factor")(lambda optimizer, num_steps, steps_per_epoch: 0.1)  # type: ignore[arg-type,return-value]
        with pytest.raises(ConfigError, match=r"schedule 'factor': expected a scheduler of torch.*, got float"):
            rates(Hyperparameters(schedule="factor", epochs=2))


def absolute(optimizer: Optimizer, num_steps: int, steps_per_epoch: int) -> LRScheduler:
    """Set all layers to one rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 0.1
    return CosineAnnealingLR(optimizer, T_max=num_steps)


class Counting(LRScheduler):
    """Counts in a way that its state does not tell."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.counts = iter(range(10**6))
        super().__init__(optimizer)

    def get_lr(self) -> list[float | torch.Tensor]:
        count = next(self.counts)
        return [base * 0.9**count for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("build", "check"),
    [
        (absolute, "layers_keep_their_share"),
        (lambda optimizer, num_steps, steps_per_epoch: Counting(optimizer), "a_saved_state_goes_on"),
    ],
)
def test_the_contract_finds_what_a_fit_would_suffer_from(build: Callable[..., LRScheduler], check: str) -> None:
    with pytest.raises(AssertionError) as error:
        check_contract(build)
    assert any(check in note for note in error.value.__notes__)


def test_cycles_of_triangular2_are_each_half_as_high_and_those_of_exp_range_fall_by_epochs() -> None:
    def tops(**args: Any) -> list[float]:
        found = rates(
            Hyperparameters(schedule="cyclical", schedule_args={"num_cycles": 2, "low": 0.5, **args}, epochs=4, lr=1.0),
            per_epoch=4,
        )
        return [max(found[:8]) - 0.5, max(found[8:]) - 0.5]

    assert tops() == pytest.approx([0.5, 0.5])
    assert tops(mode="triangular2") == pytest.approx([0.5, 0.25])
    assert tops(mode="exp_range", gamma=0.5) == pytest.approx([0.5 * 0.5**1, 0.5 * 0.5**3])
    with pytest.raises(ConfigError, match="'mode': expected one of triangular, triangular2, exp_range, got 'square'"):
        tops(mode="square")


def test_a_plateau_pauses_after_a_fall_and_ends_at_its_lowest_rate() -> None:
    def lrs(**args: Any) -> list[float]:
        return rates(
            Hyperparameters(schedule="plateau", schedule_args={"patience": 0, **args}, epochs=5, lr=1.0), per_epoch=1
        )

    assert lrs() == pytest.approx([1.0, 1.0, 0.1, 0.01, 0.001])
    assert lrs(cooldown=1) == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.01])
    assert lrs(min_lr=0.05) == pytest.approx([1.0, 1.0, 0.1, 0.05, 0.05])
