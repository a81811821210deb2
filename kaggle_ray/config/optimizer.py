"""The hyperparameters of a step: how a gradient changes the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kaggle_ray.config.part import called, check_types, require
from kaggle_ray.types import JsonValue

MORE_OPTIMIZERS = "More of them, timm's, need the extra: pip install 'kaggle-ray[timm]'."
"""Where there are more optimizers than those that an error lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerHyperparameters:
    """How the weights are moved along a step's gradient, and what a step leaves of them."""

    name: str = field(default="adamw", metadata=called("optimizer"))
    """A name of ``kaggle_ray.train.optimizers``: torch's own adamw, sgd, adam, nadam, radam, rmsprop and adagrad, one
    of timm's, such as lion, or one that the competition's file registers."""
    args: Mapping[str, JsonValue] = field(default_factory=dict, metadata=called("optimizer_args"))
    """Arguments of the optimizer that are no hyperparameters, such as ``{"eps": 1e-6}``, or ``{"betas": [0.95, 0.98]}``
    of timm's lion."""
    lr: float = 1e-3
    """Peak learning rate, of the head where ``layer_decay`` makes them differ."""
    weight_decay: float = 0.05
    """Weight decay, decoupled for adamw, nadam and radam, a part of the gradient for the others; biases and
    normalisation layers are exempt."""
    momentum: float = 0.9
    """Momentum of sgd (Nesterov's) and rmsprop; the first beta of adamw, adam, nadam and radam; no part of
    adagrad. timm's that take betas refuse it: theirs are optimizer_args."""
    beta2: float = 0.999
    """Decay per step of the second moment: the second beta of adamw and its kin, the alpha of rmsprop."""
    layer_decay: float = 1.0
    """Factor of the learning rate from each stage of the model to the one below it, the head being the top; 1 is the
    same for all. What a stage is: ``kaggle_ray.models.stages``. Source: Clark et al., "ELECTRA", ICLR 2020."""
    clip_norm: float = 0.0
    """Norm that the gradient of all weights together is scaled down to where it is larger; 0 is off."""
    l1: float = 0.0
    """How far each step moves every weight towards zero, in learning rates; decoupled, and with the same exemptions as
    weight decay."""
    constraint: str = "none"
    """A name of ``kaggle_ray.train.constraints``, of what each step leaves of the weights: none, max_norm, unit_norm,
    non_negative, or one that the competition's file registers."""
    constraint_args: Mapping[str, JsonValue] = field(default_factory=dict)
    """Arguments of the constraint, such as ``{"max_norm": 3.0}``; ``{"on": "fc.*"}`` is for the weights of these names
    only."""
    ema_decay: float = 0.0
    """Decay per step of the exponential moving average of the weights that predict; 0 is off."""
    swa_epochs: int = 0
    """Last epochs, the ends of which are averaged to the weights that predict: stochastic weight averaging; 0 is off.
    Statistics of batch normalisation are averaged, too. A schedule that stays high, such as constant or cyclical, lets
    it find more. Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI
    2018."""

    def __post_init__(self) -> None:
        """Check every value's type and range. Raises ConfigError."""
        check_types(self)
        require(self.lr > 0, "lr", "more than 0", self.lr)
        for name in ("weight_decay", "clip_norm", "l1", "swa_epochs"):
            require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        require(0 < self.layer_decay <= 1, "layer_decay", "above 0 and at most 1", self.layer_decay)
        for name in ("momentum", "beta2", "ema_decay"):
            require(0 <= getattr(self, name) < 1, name, "from 0 to below 1", getattr(self, name))
        if self.swa_epochs:
            require(self.ema_decay == 0, "ema_decay", "0 with swa_epochs: one average predicts", self.ema_decay)
