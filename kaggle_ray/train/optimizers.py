"""Optimizers by name: torch's own, timm's where timm is installed, and those that a competition's file registers.

========= ==================================================================== =====================================
optimizer ``momentum``, ``beta2``                                              weight decay
========= ==================================================================== =====================================
adamw     are its two betas                                                    decoupled
adam      are its two betas                                                    a part of the gradient
nadam     are its two betas                                                    decoupled
radam     are its two betas                                                    decoupled
sgd       momentum is Nesterov's                                               a part of the gradient
rmsprop   momentum, and alpha                                                  a part of the gradient
adagrad   play no part                                                         a part of the gradient
========= ==================================================================== =====================================

timm's, such as ``lion``, ``lamb``, ``adan`` or ``muon``, have timm's own defaults where ``optimizer_args`` name
nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from kaggle_ray.config import OptimizerHyperparameters
from kaggle_ray.config.optimizer import MORE_OPTIMIZERS
from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.registry import Registry

Groups = list[dict[str, Any]]
"""torch's groups of parameters, each with its ``lr`` and ``weight_decay``."""
Builder = Callable[..., Optimizer]
"""Makes an optimizer of the groups and of the ``optimizer_args``."""

OPTIMIZERS: Registry[Builder] = Registry("optimizer", of_given=lambda name, build: build)

_OF_GROUPS = ("lr", "weight_decay")
"""Hyperparameters that each group has a value of, whatever the builder takes."""
_OF_BUILDERS = ("momentum", "beta2")
"""Hyperparameters that only the builder can pass on."""
_NOT_SAVED = ("adafactorbv", "kron")
"""Beginnings of the names of timm's optimizers that keep lists or types, which a checkpoint does not hold."""


def register_optimizer(name: str) -> Callable[[Builder], Builder]:
    """Register a builder ``(groups, **optimizer_args) -> torch.optim.Optimizer``, such as a class, under ``name``.

    The groups are torch's, each with its own ``lr`` and ``weight_decay``: layers may learn at different rates, and
    biases and normalisation do not decay. A builder that takes ``lr``, ``weight_decay``, ``momentum`` or ``beta2`` gets
    the hyperparameters of these names, too. What it keeps has to be tensors, numbers or words, for the checkpoints:

    >>> import torch
    >>> from kaggle_ray import register_optimizer
    >>> @register_optimizer("signs")
    ... class Signs(torch.optim.Optimizer):
    ...     def __init__(self, groups, share=1.0):
    ...         super().__init__(groups, {"share": share})
    ...
    ...     @torch.no_grad()
    ...     def step(self, closure=None):
    ...         for group in self.param_groups:
    ...             for weight in group["params"]:
    ...                 if weight.grad is not None:
    ...                     weight.mul_(1 - group["lr"] * group["weight_decay"])
    ...                     weight.sub_(weight.grad.sign(), alpha=group["lr"] * group["share"])
    >>> from kaggle_ray.testing.optimizer_contract import check_optimizer
    >>> check_optimizer(Signs, share=0.5)

    Raises:
        ConfigError: the name is built in, or another builder has it.
    """
    return OPTIMIZERS.register(name)


def build_optimizer(groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    """Return the optimizer of ``groups`` that the hyperparameters name.

    Raises:
        ConfigError: there is none of the name, it does not take an argument, or it is no torch.optim.Optimizer.
    """
    build = OPTIMIZERS[given.name] if given.name in OPTIMIZERS else _of_timm(given.name)
    return build_of(build, groups, given)


def build_of(build: Builder, groups: Groups, given: OptimizerHyperparameters) -> Optimizer:
    """Return what ``build`` makes of ``groups`` and of the arguments given. Raises ConfigError as above."""
    where = f"optimizer {given.name!r}"
    taken = inspect.signature(build).parameters
    _check_arguments(given.args, taken, where=where)
    of_hyperparameters = {name: getattr(given, name) for name in (*_OF_GROUPS, *_OF_BUILDERS) if name in taken}
    if not OPTIMIZERS.is_built_in(given.name):
        _check_none_is_idle(given, taken, where=where)
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in given.args.items()}
    with users_code(f"{where} with optimizer_args {dict(given.args)}"):
        made = build(groups, **of_hyperparameters, **arguments)
    if not isinstance(made, Optimizer):
        raise ConfigError(f"{where}: expected a torch.optim.Optimizer, got {type(made).__name__}.")
    return made


def check_optimizer(given: OptimizerHyperparameters) -> None:
    """Raise ConfigError where there is no such optimizer, or it does not take what is given, before anything trains."""
    weight, bias = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))
    groups = [
        {"params": [weight], "lr": given.lr, "weight_decay": given.weight_decay},
        {"params": [bias], "lr": given.lr, "weight_decay": 0.0},
    ]
    build_optimizer(groups, given)


def _check_arguments(given: Iterable[str], taken: Mapping[str, inspect.Parameter], *, where: str) -> None:
    """Raise ConfigError for an argument that a builder does not take, or that is told by a hyperparameter."""
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    first = next(iter(taken), None)
    known = [name for name in taken if name not in (first, *_OF_GROUPS, *_OF_BUILDERS)]
    for name in given:
        if name in _OF_GROUPS or (name in _OF_BUILDERS and name in taken):
            raise ConfigError(f"{where}: optimizer_args has {name!r}, which is a hyperparameter of its own.")
        if name not in known and not takes_any:
            raise ConfigError(f"{where}: optimizer_args: unknown argument {name!r}{suggest(name, known)}")


def _check_none_is_idle(given: OptimizerHyperparameters, taken: Iterable[str], *, where: str) -> None:
    """Raise ConfigError for a hyperparameter that was set and that the optimizer does not take."""
    defaults = OptimizerHyperparameters()
    for name in _OF_BUILDERS:
        if name not in taken and getattr(given, name) != getattr(defaults, name):
            raise ConfigError(
                f"{where} takes no {name}, got {getattr(given, name)!r}: leave it out, and name its own arguments in "
                f"optimizer_args, such as {{'betas': [0.9, 0.99]}}."
            )


def timm_optimizers() -> dict[str, str]:
    """Return the names of timm's optimizers, with what timm says of each; where we have one of the name, it is ours.

    Those that need more than a gradient, and those of packages that are written for NVIDIA's GPUs alone, are left out.
    """
    if find_spec("timm") is None:
        return {}
    from timm.optim import get_optimizer_info, list_optimizers

    described: dict[str, str] = {}
    for name, text in list_optimizers(with_description=True):
        info = get_optimizer_info(name)
        if not info.second_order and not isinstance(info.opt_class, str) and not _is_not_saved(name):
            described[name] = text
    return described


def names_of_timm() -> list[str]:
    """Return the names of all of timm's optimizers, also of those that are refused for a reason of their own."""
    if find_spec("timm") is None:
        return []
    from timm.optim import list_optimizers

    names: list[str] = list_optimizers()
    return names


def _of_timm(name: str) -> Builder:
    """Return timm's class with the defaults that timm's factory gives it. Raises ConfigError where it has none."""
    if find_spec("timm") is None:
        raise ConfigError(f"unknown optimizer {name!r}{suggest(name, OPTIMIZERS.names())} {MORE_OPTIMIZERS}")
    known = timm_optimizers()
    if _is_not_saved(name):
        raise ConfigError(f"optimizer {name!r}: a checkpoint cannot hold what it keeps. Take another one.")
    if name not in known:
        raise ConfigError(f"unknown optimizer {name!r}{suggest(name, [*OPTIMIZERS.names(), *known])}")
    from timm.optim import get_optimizer_class

    build: Builder = get_optimizer_class(name)
    return build


def _is_not_saved(name: str) -> bool:
    return name.removeprefix("c").startswith(_NOT_SAVED)


@OPTIMIZERS.register("adamw")
def _adamw(groups: Groups, momentum: float, beta2: float, eps: float = 1e-8, amsgrad: bool = False) -> Optimizer:
    return AdamW(groups, betas=(momentum, beta2), eps=eps, amsgrad=amsgrad, fused=True)


@OPTIMIZERS.register("sgd")
def _sgd(groups: Groups, momentum: float) -> Optimizer:
    """The fused step needs the momentum of all of a group's parameters, also of those whose first gradient comes later.

    Starting from zero is the same to the bit as torch's own start from the first gradient.
    """
    optimizer = SGD(groups, momentum=momentum, nesterov=momentum > 0, fused=True)
    if momentum:
        for parameter in (parameter for group in groups for parameter in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


@OPTIMIZERS.register("adam")
def _adam(groups: Groups, momentum: float, beta2: float, eps: float = 1e-8, amsgrad: bool = False) -> Optimizer:
    return Adam(groups, betas=(momentum, beta2), eps=eps, amsgrad=amsgrad, fused=True)


@OPTIMIZERS.register("nadam")
def _nadam(groups: Groups, momentum: float, beta2: float, eps: float = 1e-8) -> Optimizer:
    return NAdam(groups, betas=(momentum, beta2), eps=eps, decoupled_weight_decay=True)


@OPTIMIZERS.register("radam")
def _radam(groups: Groups, momentum: float, beta2: float, eps: float = 1e-8) -> Optimizer:
    return RAdam(groups, betas=(momentum, beta2), eps=eps, decoupled_weight_decay=True)


@OPTIMIZERS.register("rmsprop")
def _rmsprop(groups: Groups, momentum: float, beta2: float, eps: float = 1e-8, centered: bool = False) -> Optimizer:
    return RMSprop(groups, alpha=beta2, momentum=momentum, eps=eps, centered=centered)


@OPTIMIZERS.register("adagrad")
def _adagrad(groups: Groups, eps: float = 1e-10) -> Optimizer:
    return Adagrad(groups, eps=eps, fused=True)
