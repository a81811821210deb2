from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from kaggle_ray.config import Hyperparameters, Schedule
from kaggle_ray.models import Shapes, build_model
from kaggle_ray.train.optim import make_optimizer, make_schedule


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def rates(hyperparameters: Hyperparameters, num_steps: int) -> list[float]:
    """Return the learning rate of each of the steps."""
    optimizer = make_optimizer(network(), hyperparameters)
    schedule = make_schedule(optimizer, hyperparameters, num_steps)
    used: list[float] = []
    for _ in range(num_steps):
        used.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return used


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("model", ["small_resnet", "resnet18"])
def test_weight_decay_spares_biases_and_normalisation_and_every_parameter_is_in_one_group(
    optimizer: str, model: str
) -> None:
    built = build_model(model, Shapes(num_outputs=2))
    hyperparameters = Hyperparameters(optimizer=optimizer, weight_decay=0.1)  # type: ignore[arg-type]
    decayed, spared = make_optimizer(built, hyperparameters).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    normalised = {
        id(parameter)
        for module in built.modules()
        if isinstance(module, nn.BatchNorm2d)
        for parameter in module.parameters()
    }
    biases = {id(parameter) for name, parameter in built.named_parameters() if name.endswith("bias")}
    assert {id(parameter) for parameter in spared["params"]} == normalised | biases
    everything = [id(parameter) for group in (decayed, spared) for parameter in group["params"]]
    assert sorted(everything) == sorted(id(parameter) for parameter in built.parameters())


def test_frozen_parameters_are_left_out() -> None:
    frozen = network()
    next(frozen.parameters()).requires_grad_(False)
    groups = make_optimizer(frozen, Hyperparameters()).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(frozen.parameters())) - 1


def test_the_optimizers_are_torchs_with_the_hyperparameters() -> None:
    sgd = make_optimizer(network(), Hyperparameters(optimizer="sgd", lr=0.5, momentum=0.8))
    assert isinstance(sgd, SGD)
    assert (sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]) == (0.5, 0.8)
    assert sgd.param_groups[0]["nesterov"]
    adamw = make_optimizer(network(), Hyperparameters(lr=0.5, momentum=0.8, beta2=0.95))
    assert isinstance(adamw, AdamW)
    assert (adamw.param_groups[0]["lr"], adamw.param_groups[0]["betas"]) == (0.5, (0.8, 0.95))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_without_momentum_works_too(momentum: float) -> None:
    model = network()
    optimizer = make_optimizer(model, Hyperparameters(optimizer="sgd", momentum=momentum))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    model(torch.ones(2, 3, 3, 3)).sum().backward()
    optimizer.step()
    assert any((old != new).any() for old, new in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.25, 0.99])
def test_no_schedule_divides_by_zero_or_leaves_its_range(schedule: Schedule, warmup: float) -> None:
    hyperparameters = Hyperparameters(schedule=schedule, warmup=warmup, lr=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for num_steps in range(1, 51):
            used = rates(hyperparameters, num_steps)
            assert len(used) == num_steps
            assert all(0 < rate <= 0.5 + 1e-9 for rate in used), (num_steps, used)


def test_one_cycle_is_torchs() -> None:
    hyperparameters = Hyperparameters(schedule="one_cycle", warmup=0.3, lr=0.5)
    reference = SGD(network().parameters(), lr=0.5)
    torchs = OneCycleLR(reference, max_lr=0.5, total_steps=40, pct_start=0.3)
    expected: list[float] = []
    for _ in range(40):
        expected.append(float(reference.param_groups[0]["lr"]))
        reference.step()
        torchs.step()
    assert rates(hyperparameters, 40) == pytest.approx(expected, abs=1e-12)


def test_cosine_is_torchs_after_a_linear_rise() -> None:
    hyperparameters = Hyperparameters(schedule="cosine", warmup=0.25, lr=0.5)
    used = rates(hyperparameters, 40)
    assert used[:10] == pytest.approx([0.5 * (step + 1) / 11 for step in range(10)])
    reference = SGD(network().parameters(), lr=0.5)
    torchs = CosineAnnealingLR(reference, T_max=30)
    expected: list[float] = []
    for _ in range(30):
        expected.append(float(reference.param_groups[0]["lr"]))
        reference.step()
        torchs.step()
    assert used[10:] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_the_rate_rises_for_the_warm_up_and_then_falls(schedule: Schedule) -> None:
    used = rates(Hyperparameters(schedule=schedule, warmup=0.25, lr=0.5), 40)
    peak = used.index(max(used))
    assert 8 <= peak <= 11
    assert all(a < b for a, b in itertools.pairwise(used[: peak + 1]))
    assert all(a > b for a, b in itertools.pairwise(used[peak:]))
    assert used[-1] < 0.05 * max(used)


def test_constant_is_constant() -> None:
    assert set(rates(Hyperparameters(schedule="constant", lr=0.5), 30)) == {0.5}
