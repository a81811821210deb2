"""Losses by name: which tasks have them, what arguments they take."""

from __future__ import annotations

import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch
from torch import Tensor

from kaggle_ray.config.users_code import users_code
from kaggle_ray.data.head import Head, PlacedHead, place_heads
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.registry import Registry
from kaggle_ray.train.losses import classification, overlap, regression
from kaggle_ray.train.losses.class_weights import (
    CountClasses,
    class_weights_of,
    even_counts,
    is_softmax,
    pos_weight_of,
)
from kaggle_ray.typed_json import is_number
from kaggle_ray.types import Float64Array, JsonValue, Task

SampleLoss = Callable[[Tensor, Tensor], Tensor]
"""Takes logits (N, C, ...) and soft targets of the same shape; returns (N,) each sample's loss.

Those of a softmax take class numbers (N, ...) int64 as well.
"""

Builder = Callable[..., SampleLoss]
"""Takes a head, a function that counts its classes in the training rows, and the loss's arguments by name."""

DEFAULTS: Mapping[Task, str] = {
    "binary": "cross_entropy",
    "multiclass": "cross_entropy",
    "multilabel": "cross_entropy",
    "regression": "mse",
    "segmentation": "cross_entropy_dice",
}
"""What the name ``default`` stands for."""

BY_HEAD = "by_head"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A loss that a user can name."""

    tasks: tuple[Task, ...]
    build: Builder

    @property
    def argument_names(self) -> tuple[str, ...]:
        """What ``loss_args`` may hold: the builder's arguments after head and counts."""
        return tuple(inspect.signature(self.build).parameters)[2:]


LOSSES: Registry[Loss] = Registry(
    "loss", reserved=("default", BY_HEAD), of_given=lambda name, build: Loss(tasks=get_args(Task), build=build)
)


def register_loss(name: str, *tasks: Task) -> Callable[[Builder], Builder]:
    """Register a builder ``(head, count, **loss_args)`` of losses under ``name``.

    It returns a function from logits (N, C, ...) and soft targets of the same shape to (N,) each sample's loss. What
    ``loss_args`` may hold are the builder's own arguments. For (Q, K) the classes of the head's training rows it calls
    ``count()``.

    >>> from kaggle_ray import register_loss
    >>> @register_loss("absolute", "regression")
    ... def absolute(head, count, scale=1.0):
    ...     return lambda logits, targets: scale * (logits - targets).abs().mean(dim=1)

    Args:
        name: what the hyperparameter ``loss`` names it by.
        tasks: of the heads that it can train: binary, multiclass, multilabel, regression, segmentation.

    Raises:
        ConfigError: no task or an unknown one is given, the name is built in, or another builder has it.
    """
    unknown = [task for task in tasks if task not in get_args(Task)]
    if unknown or not tasks:
        raise ConfigError(
            f"loss {name!r}: expected one task or several of {', '.join(get_args(Task))}, got {unknown or 'none'}."
        )
    return LOSSES.register_as(name, lambda build: Loss(tasks=tasks, build=build))


def make_losses(
    heads: Sequence[Head],
    name: str,
    args: Mapping[str, JsonValue],
    count: Callable[[PlacedHead], Float64Array] = even_counts,
) -> tuple[SampleLoss, ...]:
    """Return the loss of each head.

    Args:
        heads: of the competition.
        name: of a loss, ``default``, or ``by_head``.
        args: of the loss; for ``by_head`` a dictionary of name and arguments for each head.
        count: returns (Q, K) the classes of a head's training rows; asked for only where a loss needs it.

    Raises:
        ConfigError: a name or an argument is unknown, out of range, or of another task.
    """
    if name == BY_HEAD:
        chosen = {head: _named_loss(head, of_head, heads) for head, of_head in args.items()}
    elif len(heads) == 1:
        chosen = {heads[0].name: (name, args)}
    elif name == "default" and not args:
        chosen = {}
    else:
        raise ConfigError(
            f"loss {name!r}: the competition has the heads {', '.join(head.name for head in heads)}. "
            f"Set loss to {BY_HEAD!r} and loss_args to a dictionary such as "
            f"{{{heads[0].name!r}: {{'loss': {DEFAULTS[heads[0].task]!r}}}}}."
        )
    return tuple(
        _make_loss(place.head, *chosen.get(place.head.name, ("default", {})), partial(count, place))
        for place in place_heads(heads)
    )


def check_loss(name: str, args: Mapping[str, JsonValue], heads: Sequence[Head]) -> None:
    """Raise ConfigError where the ``heads`` cannot be trained with this loss and these arguments."""
    make_losses(heads, name, args)


def _named_loss(head: str, of_head: JsonValue, heads: Sequence[Head]) -> tuple[str, Mapping[str, JsonValue]]:
    """Return name and arguments from ``{"loss": name, **arguments}``."""
    names = [known.name for known in heads]
    if head not in names:
        raise ConfigError(f"loss {BY_HEAD!r}: the competition has no head {head!r}{suggest(head, names)}")
    if not isinstance(of_head, Mapping):
        raise ConfigError(
            f"loss {BY_HEAD!r}: head {head!r}: expected a dictionary such as {{'loss': 'default'}}, got {of_head!r}."
        )
    rest = {key: value for key, value in of_head.items() if key != "loss"}
    return str(of_head.get("loss", "default")), rest


def _make_loss(head: Head, name: str, args: Mapping[str, JsonValue], count: CountClasses) -> SampleLoss:
    where = f"head {head.name!r}: loss {name!r}"
    resolved = DEFAULTS[head.task] if name == "default" else name
    of_task = [known for known, loss in LOSSES.items() if head.task in loss.tasks]
    if resolved not in LOSSES:
        raise ConfigError(f"{where} is unknown{suggest(name, ['default', *of_task])}")
    if head.task not in LOSSES[resolved].tasks:
        tasks = ", ".join(LOSSES[resolved].tasks)
        raise ConfigError(f"{where} is for {tasks}, not for {head.task}. Use one of {', '.join(of_task)}.")
    loss = LOSSES[resolved]
    for argument in args:
        if not loss.argument_names:
            raise ConfigError(f"{where} takes no arguments, got {argument!r}.")
        if argument not in loss.argument_names:
            raise ConfigError(f"{where}: unknown argument {argument!r}{suggest(argument, loss.argument_names)}")
    try:
        with users_code("its builder"):
            built = loss.build(head, count, **args)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    # Ours take class numbers, too, in less time; what a file registers is promised shares.
    return built if LOSSES.is_built_in(resolved) or head.task != "multiclass" else partial(_of_shares, built)


def _of_shares(loss: SampleLoss, logits: Tensor, targets: Tensor) -> Tensor:
    """Return what a loss that knows shares alone makes of class numbers (N, ...), or of shares as they are."""
    if targets.ndim == logits.ndim:
        return loss(logits, targets)
    shares = torch.zeros_like(logits)
    shares.scatter_(1, targets.unsqueeze(1), 1.0)
    return loss(logits, shares)


def _number(name: str, value: JsonValue, *, at_least: float = 0.0, above: float | None = None) -> float:
    """Return ``value`` as a float in its range; raises ConfigError."""
    expected = f"a number of at least {at_least:g}" if above is None else f"a number above {above:g}"
    if not is_number(value) or not at_least <= value < math.inf or (above is not None and value <= above):
        raise ConfigError(f"{name}: expected {expected}, got {value!r}.")
    return float(value)


@register_loss("cross_entropy", "binary", "multiclass", "multilabel", "segmentation")
def _cross_entropy(head: Head, count: CountClasses, class_weights: JsonValue = None) -> SampleLoss:
    weights = class_weights_of(class_weights, head, count)
    if is_softmax(head):
        return partial(classification.cross_entropy, class_weights=weights)
    if weights is None:
        return classification.binary_cross_entropy
    return partial(classification.weighted_binary_cross_entropy, class_weights=weights)


@register_loss("bce", "binary", "multilabel", "segmentation")
def _bce(head: Head, count: CountClasses, pos_weight: JsonValue = None) -> SampleLoss:
    if is_softmax(head):
        raise ConfigError("the masks have several classes. Use cross_entropy.")
    return partial(classification.binary_cross_entropy, pos_weight=pos_weight_of(pos_weight, head, count))


@register_loss("focal", "binary", "multiclass", "multilabel", "segmentation")
def _focal(
    head: Head, count: CountClasses, gamma: JsonValue = 2.0, alpha: JsonValue = None, class_weights: JsonValue = None
) -> SampleLoss:
    gamma = _number("gamma", gamma, at_least=1)
    if is_softmax(head):
        if alpha is not None:
            raise ConfigError("alpha is for binary, labels, and masks of one class. Use class_weights.")
        return partial(classification.focal, gamma=gamma, class_weights=class_weights_of(class_weights, head, count))
    if class_weights is not None:
        raise ConfigError("class_weights are for one of several classes. Use alpha, from 0 to 1.")
    share = None if alpha is None else _number("alpha", alpha)
    if share is not None and share > 1:
        raise ConfigError(f"alpha: expected a number from 0 to 1, got {alpha!r}.")
    return partial(classification.binary_focal, gamma=gamma, alpha=share)


@register_loss("smooth_f2", "multilabel")
def _smooth_f2(head: Head, count: CountClasses, beta: JsonValue = 2.0, smooth: JsonValue = 0.5) -> SampleLoss:
    return partial(
        overlap.smooth_f_beta, beta=_number("beta", beta, above=0), smooth=_number("smooth", smooth, above=0)
    )


@register_loss("mse", "regression")
def _mse(head: Head, count: CountClasses) -> SampleLoss:
    return regression.mse


@register_loss("l1", "regression")
def _l1(head: Head, count: CountClasses) -> SampleLoss:
    return regression.l1


@register_loss("huber", "regression")
def _huber(head: Head, count: CountClasses, delta: JsonValue = 1.0) -> SampleLoss:
    return partial(regression.huber, delta=_number("delta", delta, above=0))


@register_loss("cross_entropy_dice", "segmentation")
def _cross_entropy_dice(
    head: Head, count: CountClasses, dice_weight: JsonValue = 1.0, smooth: JsonValue = 0.5
) -> SampleLoss:
    entropy, dice = _cross_entropy(head, count), _dice(head, count, smooth)
    weight = _number("dice_weight", dice_weight)
    return lambda logits, targets: entropy(logits, targets) + weight * dice(logits, targets)


@register_loss("dice", "segmentation")
def _dice(head: Head, count: CountClasses, smooth: JsonValue = 0.5) -> SampleLoss:
    return _tversky(head, count, 0.5, 0.5, smooth)


@register_loss("jaccard", "segmentation")
def _jaccard(head: Head, count: CountClasses, smooth: JsonValue = 0.5) -> SampleLoss:
    return _tversky(head, count, 1.0, 1.0, smooth)


@register_loss("tversky", "segmentation")
def _tversky(
    head: Head, count: CountClasses, alpha: JsonValue = 0.3, beta: JsonValue = 0.7, smooth: JsonValue = 0.5
) -> SampleLoss:
    loss = partial(
        overlap.tversky,
        alpha=_number("alpha", alpha),
        beta=_number("beta", beta),
        smooth=_number("smooth", smooth, above=0),
    )
    if is_softmax(head):
        return lambda logits, targets: loss(torch.softmax(logits, dim=1), targets)
    return lambda logits, targets: loss(torch.sigmoid(logits), targets)


@register_loss("lovasz", "segmentation")
def _lovasz(head: Head, count: CountClasses) -> SampleLoss:
    if importlib.util.find_spec("segmentation_models_pytorch") is None:
        raise ConfigError("needs the extra: pip install 'kaggle-ray[smp]'.")
    return overlap.lovasz
