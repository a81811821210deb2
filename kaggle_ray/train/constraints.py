"""What is done to the weights right after each optimizer step: L1 shrinks them, a constraint takes them back in bounds.

========== ==================== ====================================================================================
constraint ``constraint_args``  each output's incoming weights
========== ==================== ====================================================================================
max_norm   ``max_norm``         are scaled down to this Euclidean norm where theirs is larger (Srivastava et al.,
                                "Dropout", JMLR 2014)
unit_norm                       are scaled to the Euclidean norm 1
non_negative                    are 0 where they were below
========== ==================== ====================================================================================

Another one is registered by the competition's file. Any of them takes ``on`` too, a pattern of names such as ``fc.*``,
and is then for these weights only. Biases and the scales of normalisation layers are left alone, as by weight decay.

All is a function of the weights that the step has just made. So a checkpoint has nothing to keep of it, and ranks that
make the same step stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from kaggle_ray.config import OptimizerHyperparameters
from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.registry import Registry
from kaggle_ray.types import JsonValue

Constraint = Callable[[Tensor], Tensor]
"""Takes a weight, outputs first, and returns the allowed one of the same shape that takes its place."""
Builder = Callable[..., Constraint]
"""Makes a constraint of the ``constraint_args``."""

CONSTRAINTS: Registry[Builder] = Registry("constraint", reserved=("none",), of_given=lambda name, build: build)

_NETWORK = "network."
"""Prefix of the names of a registered model's own weights."""


@CONSTRAINTS.register("max_norm")
def _max_norm(max_norm: float) -> Constraint:
    if not max_norm > 0:
        raise ConfigError(f"constraint 'max_norm': expected a max_norm above 0, got {max_norm!r}.")
    return lambda weight: torch.renorm(weight, p=2, dim=0, maxnorm=max_norm)


@CONSTRAINTS.register("unit_norm")
def _unit_norm() -> Constraint:
    return lambda weight: functional.normalize(weight.flatten(1), dim=1).view_as(weight)


@CONSTRAINTS.register("non_negative")
def _non_negative() -> Constraint:
    return lambda weight: weight.clamp_min(0)


def register_constraint(name: str) -> Callable[[Builder], Builder]:
    """Register a builder ``(**constraint_args) -> constraint`` under ``name``.

    The constraint gets a weight, a tensor of two or more dimensions with the outputs first (a transposed convolution
    has its inputs first), and returns the tensor of the same shape that takes its place. Given what it returned, it
    should return the same again.

    >>> from kaggle_ray import register_constraint
    >>> @register_constraint("at_most")
    ... def at_most(largest):
    ...     return lambda weight: weight.clamp(-largest, largest)

    Raises:
        ConfigError: the name is built in, or another builder has it.
    """
    return CONSTRAINTS.register(name)


def make_constraint(name: str, constraint_args: Mapping[str, JsonValue]) -> Constraint | None:
    """Return the constraint ``name``, None for ``none``.

    Raises:
        ConfigError: the name is unknown, or the arguments are not those that it takes.
    """
    arguments = {key: value for key, value in constraint_args.items() if key != "on"}
    if name == "none":
        if constraint_args:
            raise ConfigError(f"constraint_args {dict(constraint_args)}: there is no constraint that takes them.")
        return None
    build = CONSTRAINTS[name]
    _pattern(name, constraint_args)
    with users_code(f"constraint {name!r} with constraint_args {arguments}"):
        return build(**arguments)


def constrain(optimizer: Optimizer, model: nn.Module, given: OptimizerHyperparameters) -> None:
    """Let each step of ``optimizer`` end with ``l1`` and ``constraint``; where neither is set, nothing is done.

    L1 is decoupled from the gradient, as adamw's weight decay is: each weight is moved by lr * l1 towards zero, and
    stops there. Without momentum it is the proximal step of the loss plus l1 times the weights' absolute sum.
    Source: Parikh and Boyd, "Proximal algorithms", 2014.

    Raises:
        ConfigError: the constraint or its arguments are unknown, or the model has no weight of such a name.
    """
    constraint = make_constraint(given.constraint, given.constraint_args)
    l1 = given.l1
    if constraint is None and not l1:
        return
    pattern = _pattern(given.constraint, given.constraint_args)
    names = {parameter: name.removeprefix(_NETWORK) for name, parameter in model.named_parameters()}
    constrained = {weight for weight, name in names.items() if weight.ndim > 1 and fnmatchcase(name, pattern)}
    if constraint is not None and not constrained:
        raise ConfigError(
            f"constraint {given.constraint!r}: no weight is named like {pattern!r}"
            f"{suggest(pattern, [name for weight, name in names.items() if weight.ndim > 1])}"
        )

    @torch.no_grad()
    def after_step(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if weight.ndim < 2 or weight.grad is None:  # the step has left those without a gradient alone
                    continue
                moved = functional.softshrink(weight, group["lr"] * given.l1) if given.l1 else weight
                if constraint is not None and weight in constrained:
                    moved = _checked(constraint(moved), weight, given.constraint)
                weight.copy_(_unless_skipped(optimizer, moved, weight))

    optimizer.register_step_post_hook(after_step)


def _pattern(name: str, constraint_args: Mapping[str, JsonValue]) -> str:
    """Return the pattern of the names of the weights that are constrained. Raises ConfigError where it is none."""
    pattern = constraint_args.get("on", "*")
    if not isinstance(pattern, str):
        raise ConfigError(f"constraint {name!r}: expected a pattern of names as 'on', got {pattern!r}.")
    return pattern


def _checked(constrained: Tensor, weight: Tensor, name: str) -> Tensor:
    """Return ``constrained``. Raises ConfigError where it could not take the weight's place."""
    if constrained.shape != weight.shape:
        raise ConfigError(
            f"constraint {name!r}: expected a tensor of the weight's shape {tuple(weight.shape)}, "
            f"got {tuple(constrained.shape)}."
        )
    return constrained


def _unless_skipped(optimizer: Optimizer, moved: Tensor, weight: Tensor) -> Tensor:
    """Return ``weight`` where a fused step has found the gradients of float16 infinite, and moved nothing itself.

    torch's gradient scaler leaves word of it at the optimizer, on its device: to ask would be to wait for it.
    """
    found_inf: Tensor | None = getattr(optimizer, "found_inf", None)
    return moved if found_inf is None else torch.where(found_inf > 0, weight, moved)
