from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes, build_model
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.optimizer_contract import check_optimizer as check_contract
from kaggle_ray.train import optimizers
from kaggle_ray.train.optim import make_optimizer
from kaggle_ray.train.optimizers import OPTIMIZERS, Groups, check_optimizer, register_optimizer, timm_optimizers


def given(name: str, **arguments: Any) -> Any:
    return Hyperparameters(optimizer=name, optimizer_args=arguments, lr=1e-3, weight_decay=0.1).optimizer


def of_timm(name: str) -> Any:
    from timm.optim import get_optimizer_class

    return get_optimizer_class(name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_torch_keeps_the_contract(name: str) -> None:
    check_contract(OPTIMIZERS[name])


@pytest.mark.parametrize("name", ["lion", "lamb", "adan", "muon", "adafactor", "sgdw", "madgrad"])
def test_optimizers_of_timm_keep_the_contract(name: str) -> None:
    check_contract(of_timm(name))


def test_an_optimizer_of_timm_gets_our_groups_with_rates_by_layer_and_no_decay_of_norms() -> None:
    model = build_model("resnet18", Shapes(num_outputs=2))
    hyperparameters = Hyperparameters(optimizer="lion", lr=1e-4, weight_decay=0.5, layer_decay=0.5)
    made = make_optimizer(model, hyperparameters.optimizer)
    assert type(made).__module__ == "timm.optim.lion"
    assert {group["lr"] for group in made.param_groups} == {1e-4 * 0.5**depth for depth in range(6)}
    assert {(group["params"][0].ndim > 1, group["weight_decay"]) for group in made.param_groups} == {
        (True, 0.5), (False, 0.0),
    }  # fmt: skip
    assert made.param_groups[0]["betas"] == (0.9, 0.99)  # the library's own, not momentum and beta2


def test_optimizer_args_reach_the_constructor() -> None:
    model = Model(network := build_network(), Shapes(num_outputs=2))
    assert network is not None
    (first, *_) = make_optimizer(model, given("lion", betas=[0.8, 0.9])).param_groups
    assert first["betas"] == (0.8, 0.9)
    (first, *_) = make_optimizer(model, given("adamw", eps=1e-4, amsgrad=True)).param_groups
    assert (first["eps"], first["amsgrad"], first["fused"]) == (1e-4, True, True)


def build_network() -> Any:
    from kaggle_ray.models.network import Network

    layers = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    return Network(module=layers, fresh=(layers[-1],))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lino", {}, r"unknown optimizer 'lino'\. Did you mean 'lion'\?"),
        ("lion", {"beta": [0.9, 0.99]}, r"'lion': optimizer_args: unknown argument 'beta'\. Did you mean 'betas'\?"),
        ("lion", {"lr": 0.1}, r"optimizer_args has 'lr', which is a hyperparameter of its own"),
        ("lion", {"betas": [2.0, 0.5]}, r"optimizer 'lion' with optimizer_args .*Invalid beta"),
        ("sgd", {"momentum": 0.5}, r"optimizer_args has 'momentum', which is a hyperparameter of its own"),
        ("adagrad", {"lr_decay": 0.5}, r"unknown argument 'lr_decay'"),
        ("kron", {}, r"optimizer 'kron': a checkpoint cannot hold what it keeps"),
        ("adahessian", {}, r"unknown optimizer 'adahessian'"),
    ],
)  # fmt: skip
def test_what_an_optimizer_does_not_take_is_refused_by_name(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_optimizer(given(name, **arguments))


def test_a_momentum_that_would_change_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"optimizer 'lion' takes no momentum, got 0\.5"):
        check_optimizer(Hyperparameters(optimizer="lion", momentum=0.5).optimizer)
    check_optimizer(Hyperparameters(optimizer="sgdw", momentum=0.5).optimizer)


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    assert timm_optimizers() == {}
    with pytest.raises(ConfigError, match=r"unknown optimizer 'lion'.*pip install 'kaggle-ray\[timm\]'"):
        check_optimizer(given("lion"))


def test_a_registered_class_gets_the_groups_and_its_own_arguments() -> None:
    with registrations_undone():
        register_optimizer("averaged")(torch.optim.ASGD)
        made = make_optimizer(Model(build_network(), Shapes(num_outputs=2)), given("averaged", t0=10.0))
        assert [(type(made), group["t0"], group["lr"]) for group in made.param_groups] == [
            (torch.optim.ASGD, 10.0, 1e-3)
        ] * 2
        with pytest.raises(ConfigError, match="optimizer 'adamw' is built in"):
            register_optimizer("adamw")(torch.optim.ASGD)


def test_what_a_builder_returns_has_to_be_an_optimizer() -> None:
    def nothing(groups: Groups) -> None:
        """Forget to return it."""

    with registrations_undone():
        register_optimizer("nothing")(nothing)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"optimizer 'nothing': expected a torch\.optim\.Optimizer, got NoneType"):
            check_optimizer(given("nothing"))


class Forgetful(torch.optim.SGD):
    """Takes what it has learnt to be its own attribute, which no checkpoint sees."""

    def __init__(self, groups: Groups, lr: float) -> None:
        super().__init__(groups, lr=lr)
        self.count = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.count += 1
        for group in self.param_groups:
            group["lr"] /= self.count
        super().step()


class Deaf(torch.optim.SGD):
    """Steps by the learning rate that it was made with."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["lr"] = 1e-2
        super().step()


@pytest.mark.parametrize(
    ("build", "check"),
    [(Forgetful, "a_saved_state_goes_on"), (Deaf, "the_learning_rate_is_read")],
)
def test_the_contract_finds_what_a_fit_would_suffer_from(build: type[Optimizer], check: str) -> None:
    with pytest.raises(AssertionError) as error:
        check_contract(build)
    assert any(check in note for note in error.value.__notes__)
