"""The contract of an optimizer: call ``check_optimizer`` in a test of each one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from kaggle_ray.config import OptimizerHyperparameters
from kaggle_ray.train.checkpoint import load_optimizer, optimizer_state, pack, unpack
from kaggle_ray.train.optim import LR_FACTOR
from kaggle_ray.train.optimizers import build_of
from kaggle_ray.types import JsonValue

_GIVEN = OptimizerHyperparameters(lr=1e-2, weight_decay=0.1)

Make = Callable[[nn.Module], Optimizer]


def check_optimizer(build: Callable[..., Optimizer], **arguments: JsonValue) -> None:
    """Check what a fit relies on, with a tiny network of matrices, biases and a scale.

    Args:
        build: what ``register_optimizer`` registers.
        arguments: the ``optimizer_args``.

    Raises:
        Exception: whatever the optimizer raised, or an AssertionError, with the name of the check.
    """
    given = dataclasses.replace(_GIVEN, name=getattr(build, "__name__", "the optimizer"), args=arguments)

    def make(network: nn.Module) -> Optimizer:
        groups = [
            {
                "params": [weight for weight in network.parameters() if (weight.ndim <= 1) is is_spared],
                "weight_decay": 0.0 if is_spared else given.weight_decay,
                "lr": given.lr * factor,
                LR_FACTOR: factor,
            }
            for is_spared, factor in ((False, 1.0), (True, 0.5))
        ]
        return build_of(build, groups, given)

    for check in (
        _every_group_keeps_its_learning_rate_and_decay,
        _every_parameter_is_moved,
        _what_has_no_gradient_stays_as_it_is,
        _the_learning_rate_is_read_at_each_step,
        _the_same_steps_give_the_same_bits,
        _a_saved_state_goes_on_with_the_same_bits,
    ):
        try:
            check(make)
        except Exception as error:
            error.add_note(f"in the check {check.__name__.strip('_')!r} of the optimizer's contract")
            raise


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.GroupNorm(1, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 4)
    )


def _train(network: nn.Module, optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        images = torch.rand(8, 2, 4, 4, generator=torch.Generator().manual_seed(step))
        torch.manual_seed(step)
        optimizer.zero_grad(set_to_none=True)
        network(images).square().mean().backward()
        optimizer.step()


def _weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def _trained(make: Make, num_steps: int) -> dict[str, Tensor]:
    network = _network()
    _train(network, make(network), range(num_steps))
    return _weights_of(network)


def _every_group_keeps_its_learning_rate_and_decay(make: Make) -> None:
    groups = make(_network()).param_groups
    expected = [(_GIVEN.lr, _GIVEN.weight_decay), (_GIVEN.lr / 2, 0.0)]
    assert [(group["lr"], group["weight_decay"]) for group in groups] == expected


def _every_parameter_is_moved(make: Make) -> None:
    before, after = _weights_of(_network()), _trained(make, 12)
    assert all(weight.isfinite().all() for weight in after.values())
    still = [name for name, weight in after.items() if torch.equal(weight, before[name])]
    assert not still, f"{still} stayed as they were"


def _what_has_no_gradient_stays_as_it_is(make: Make) -> None:
    network = _network()
    frozen = next(network.parameters()).requires_grad_(False)
    before = frozen.clone()
    _train(network, make(network), range(3))
    assert torch.equal(frozen, before)


def _the_learning_rate_is_read_at_each_step(make: Make) -> None:
    network = _network()
    optimizer = make(network)
    for step in range(6):
        for group in optimizer.param_groups:
            group["lr"] = _GIVEN.lr * group[LR_FACTOR] * (1.0 if step < 3 else 0.01)
        _train(network, optimizer, range(step, step + 1))
    unchanged = _trained(make, 6)
    assert any(not torch.equal(weight, unchanged[name]) for name, weight in _weights_of(network).items())


def _the_same_steps_give_the_same_bits(make: Make) -> None:
    first, second = _trained(make, 4), _trained(make, 4)
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


def _a_saved_state_goes_on_with_the_same_bits(make: Make) -> None:
    network, other = _network(), _network()
    optimizer = make(network)
    _train(network, optimizer, range(3))
    tensors, values = optimizer_state(optimizer)
    restored, of_json = unpack(pack(tensors, {"optimizer": json.loads(json.dumps(values))}), where="check")
    other.load_state_dict(network.state_dict())
    fresh = make(other)
    load_optimizer(fresh, restored, of_json["optimizer"])
    for each, its in ((network, optimizer), (other, fresh)):
        _train(each, its, range(3, 9))
    assert all(
        torch.equal(weight, of_other) for weight, of_other in zip(network.parameters(), other.parameters(), strict=True)
    )
