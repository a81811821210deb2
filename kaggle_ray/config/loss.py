"""The hyperparameters of what is minimised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kaggle_ray.config.part import called, check_types, require
from kaggle_ray.types import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class LossHyperparameters:
    """What is minimised: a loss of the labels, and beside it one of a teacher's answers."""

    name: str = field(default="default", metadata=called("loss"))
    """A name of ``kaggle_ray.train.losses``; ``default`` is cross entropy, squared error, or for masks cross entropy
    plus Dice; ``by_head`` names one for each of several heads in ``loss_args``."""
    args: Mapping[str, JsonValue] = field(default_factory=dict, metadata=called("loss_args"))
    """Arguments of the loss, such as ``{"gamma": 2.0}`` for focal; those of by_head are
    ``{"age": {"loss": "huber", "delta": 2.0}}``."""
    label_smoothing: float = 0.0
    """0 to 1: how much of a target goes to the other classes."""
    distill_from: Mapping[str, JsonValue] = field(default_factory=dict)
    """Learn, beside the labels, from what the same experiment with these values instead, such as
    ``{"model": "resnet50"}``, says of the training rows: the model of the same fold, which is trained first and has not
    seen the fold's scored rows either. For one head of classes or labels. Empty is off."""
    distill_out_of_fold: bool = False
    """Whether each row's answer is of a teacher that has not seen it: one fitted without the row's fold and without the
    student's, anew for each two folds, which is K (K - 1) / 2 fits more for K folds. Otherwise the teacher remembers
    the rows that it answers for."""
    distill_weight: float = 0.5
    """Share of the loss that the teacher's answers have; the labels have the rest."""
    temperature: float = 2.0
    """Temperature at which teacher and student are compared: above 1 small probabilities speak louder."""

    def __post_init__(self) -> None:
        """Check every value's type and range. Raises ConfigError."""
        check_types(self)
        require(0 <= self.label_smoothing < 1, "label_smoothing", "from 0 to below 1", self.label_smoothing)
        require(0 < self.distill_weight <= 1, "distill_weight", "above 0 and at most 1", self.distill_weight)
        require(self.temperature > 0, "temperature", "more than 0", self.temperature)
