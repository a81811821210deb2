"""What an experiment is: hyperparameters from plain dictionaries, with every value's type and range checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from kaggle_ray.config.schedule_args import full_schedule_args
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.types import EpochRule, JsonValue

Optimizer = Literal["adamw", "sgd", "adam", "nadam", "radam", "rmsprop", "adagrad"]
Schedule = Literal[
    "one_cycle",
    "cosine",
    "constant",
    "linear",
    "step",
    "exponential",
    "cyclical",
    "snapshot",
    "plateau",
    "by_epoch",
]
TestTimeAugmentation = Literal["none", "hflip", "hflip_sizes"]

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
"""Endings of files of weights."""

_SIZE_STEP = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameters:
    """One point of a search space. A dictionary with the same keys does as well; an unknown key is an error.

    >>> from kaggle_ray import Hyperparameters
    >>> Hyperparameters(model="resnet34", image_size=128, lr=3e-4).schedule
    'one_cycle'
    """

    model: str = "resnet18"
    """A name of ``kaggle_ray.models``: our own, torchvision's, ``timm/<name>``, or ``smp/<architecture>`` for masks."""
    model_args: Mapping[str, JsonValue] = field(default_factory=dict)
    """Keyword arguments of the model's builder, such as ``{"width": 24}``; of a library's model also ``weights``, the
    library's name of some or a file, which ``pretrained`` then loads."""
    head: Mapping[str, JsonValue] = field(default_factory=dict)
    """What stands in the place of a classifier's last layer, such as ``{"pooling": "avgmax", "hidden": [512],
    "dropout": 0.5}``; see ``kaggle_ray.models.head``. Empty is the model's own."""
    pretrained: bool = False
    """Start from the library's own weights (downloaded by it at the first use)."""
    freeze_epochs: int = 0
    """First epochs in which only what is not pretrained is trained: the head, a U-Net's decoder, a table's branch.
    Without ``pretrained`` or ``init_from`` nothing is frozen."""
    image_size: int = 64
    """Height in pixels that images are decoded to; also their width, unless ``aspect`` says otherwise. 0 is the size
    that the model's library trained it on."""
    aspect: float = 1.0
    """Width of a decoded image over its height."""
    train_size: int = 0
    """Height in pixels that batches are trained and predicted at; 0 is image_size."""
    start_size: int = 0
    """Height in pixels in the first epoch, growing to train_size in steps of 16 over the run; 0 is train_size."""
    tile: int = 0
    """Side in pixels of the overlapping tiles that larger images are predicted in, for segmentation; 0 predicts
    whole."""
    init_from: Mapping[str, JsonValue] = field(default_factory=dict)
    """Start from the weights, of the same fold, of the same experiment with these values instead, such as
    ``{"image_size": 64}``: that experiment is run first. Empty starts afresh."""
    batch_size: int = 64
    """Samples per optimizer step, those of all processes together."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other, where it does not fit into memory at once."""
    epochs: int = 10
    """Passes over the training rows."""
    epoch_rule: EpochRule = "last"
    """Which epoch's weights predict. ``last``: the budget's end; ``inner``: the best on an inner split of the training
    rows, which is not trained on; ``other_folds``: for each fold the epoch that is best on the others' rows;
    ``scored_fold``: the best on the very rows that are scored, which is a selection and gets no honest score."""
    inner_share: float = 0.1
    """Share of the training rows that ``epoch_rule`` inner holds out."""
    patience: int = 0
    """Evaluations without a better one after which training ends early, for ``epoch_rule`` inner and scored_fold; 0
    trains for all epochs."""
    evaluate_every: int = 1
    """Epochs from one evaluation to the next; the last epoch is always evaluated."""
    optimizer: Optimizer = "adamw"
    """A name of ``kaggle_ray.train.optim``: torch's own."""
    lr: float = 1e-3
    """Peak learning rate, of the head where ``layer_decay`` makes them differ."""
    weight_decay: float = 0.05
    """Weight decay, decoupled for adamw, nadam and radam, a part of the gradient for the others; biases and
    normalisation layers are exempt."""
    momentum: float = 0.9
    """Momentum of sgd (Nesterov's) and rmsprop; the first beta of adamw, adam, nadam and radam; not for adagrad."""
    beta2: float = 0.999
    """Decay per step of the second moment: the second beta of adamw and its kin, the alpha of rmsprop."""
    layer_decay: float = 1.0
    """Factor of the learning rate from each stage of the model to the one below it, the head being the top; 1 is the
    same for all. What a stage is: ``kaggle_ray.models.stages``. Source: Clark et al., "ELECTRA", ICLR 2020."""
    clip_norm: float = 0.0
    """Norm that the gradient of all weights together is scaled down to where it is larger; 0 is off."""
    schedule: Schedule = "one_cycle"
    schedule_args: Mapping[str, JsonValue] = field(default_factory=dict)
    """Arguments of the schedule, such as ``{"num_cycles": 4}``; see ``kaggle_ray.train.schedules``."""
    warmup: float = 0.25
    """Fraction of all steps in which the learning rate rises; for one_cycle, cosine and linear."""
    distill_from: Mapping[str, JsonValue] = field(default_factory=dict)
    """Learn, beside the labels, from what the same experiment with these values instead, such as
    ``{"model": "resnet50"}``, says of the training rows: the model of the same fold, which is trained first and has not
    seen the fold's scored rows either. For one head of classes or labels. Empty is off."""
    distill_weight: float = 0.5
    """Share of the loss that the teacher's answers have; the labels have the rest."""
    temperature: float = 2.0
    """Temperature at which teacher and student are compared: above 1 small probabilities speak louder."""
    loss: str = "default"
    """A name of ``kaggle_ray.train.losses``; ``default`` is cross entropy, squared error, or for masks cross entropy
    plus Dice; ``by_head`` names one for each of several heads in ``loss_args``."""
    loss_args: Mapping[str, JsonValue] = field(default_factory=dict)
    """Arguments of the loss, such as ``{"gamma": 2.0}`` for focal; those of by_head are
    ``{"age": {"loss": "huber", "delta": 2.0}}``."""
    label_smoothing: float = 0.0
    """0 to 1: how much of a target goes to the other classes."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that mixes pairs within a batch (Zhang et al., ICLR 2018); 0 is off."""
    cutmix: float = 0.0
    """Alpha of the Beta distribution of the area that each image of a batch gets from another (Yun et al., ICCV 2019);
    0 is off."""
    ema_decay: float = 0.0
    """Decay per step of the exponential moving average of the weights that predict; 0 is off."""
    constraint: str = "none"
    """A name of ``kaggle_ray.train.constraints``, of what each step leaves of the weights: none, max_norm, unit_norm,
    non_negative, or one that the competition's file registers."""
    constraint_args: Mapping[str, JsonValue] = field(default_factory=dict)
    """Arguments of the constraint, such as ``{"max_norm": 3.0}``; ``{"on": "fc.*"}`` is for the weights of these names
    only."""
    l1: float = 0.0
    """How far each step moves every weight towards zero, in learning rates; decoupled, and with the same exemptions as
    weight decay."""
    augment: str = "none"
    """A recipe of ``kaggle_ray.images.augment``: none, shift, light, heavy, medium, dihedral, segmentation, or one that
    the competition's file registers."""
    tta: TestTimeAugmentation = "none"
    """Test-time augmentation. hflip: the mean over the image and its mirror image; hflip_sizes: over both, each at
    train_size and a quarter larger, at most image_size."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value's type and range.

        Raises:
            ConfigError: with the name of the hyperparameter, what was expected and what was given.
        """
        hints = _type_hints()
        for spec in dataclasses.fields(self):
            value = _checked_type(spec.name, getattr(self, spec.name), hints[spec.name])
            object.__setattr__(self, spec.name, value)
        for name in ("batch_size", "epochs", "accumulate", "evaluate_every"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _require(self.lr > 0, "lr", "more than 0", self.lr)
        _require(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        for name in ("image_size", "mixup", "cutmix", "tile", "freeze_epochs", "clip_norm", "patience", "l1"):
            _require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        if self.epoch_rule in ("last", "other_folds"):
            _require(self.patience == 0, "patience", f"0 with epoch_rule {self.epoch_rule}", self.patience)
        _require(0.1 <= self.aspect <= 10, "aspect", "from 0.1 to 10", self.aspect)
        _require(0 < self.layer_decay <= 1, "layer_decay", "above 0 and at most 1", self.layer_decay)
        _require(0 < self.inner_share < 1, "inner_share", "above 0 and below 1", self.inner_share)
        _require(0 < self.distill_weight <= 1, "distill_weight", "above 0 and at most 1", self.distill_weight)
        _require(self.temperature > 0, "temperature", "more than 0", self.temperature)
        check_names(self.init_from, where="init_from")
        check_names(self.distill_from, where="distill_from")
        _require(self.init_from.get("image_size") != 0, "init_from", "an image_size of at least 1", 0)
        full_schedule_args(self.schedule, self.schedule_args, epochs=self.epochs)
        largest = self.image_size or math.inf
        for name in ("train_size", "start_size"):
            _require(0 <= getattr(self, name) <= largest, name, "from 0 to image_size", getattr(self, name))
        for name in ("warmup", "label_smoothing", "momentum", "beta2", "ema_decay"):
            _require(0 <= getattr(self, name) < 1, name, "from 0 to below 1", getattr(self, name))
        _require(0 <= self.seed < 2**31, "seed", "from 0 to 2**31 - 1", self.seed)

    @property
    def weights_file(self) -> str | None:
        """The file of pretrained weights that ``model_args`` names, None where there is none."""
        weights = self.model_args.get("weights")
        return str(weights) if names_a_file(weights) else None

    @property
    def predict_size(self) -> int:
        """Height in pixels that images are predicted at, and trained at in the end."""
        return self.train_size or self.image_size

    @property
    def largest_size(self) -> int:
        """Height in pixels of the largest view that ``tta`` predicts: a quarter more than predict_size, if it has."""
        return min(self.predict_size * 5 // 4, self.image_size) if self.tta == "hflip_sizes" else self.predict_size

    def sides(self, height: int) -> tuple[int, int]:
        """Return height and width in pixels of an image of ``height``."""
        return height, max(1, round(height * self.aspect))

    @property
    def parent(self) -> Hyperparameters | None:
        """The experiment whose weights this one starts from, None where it starts afresh.

        Raises:
            ConfigError: ``init_from`` changes nothing, or has a bad value.
        """
        if not self.init_from:
            return None
        ancestor = self._with({"init_from": {}, **self.init_from})
        if ancestor == dataclasses.replace(self, init_from={}):
            raise ConfigError(f"hyperparameter 'init_from': expected values that differ, got {dict(self.init_from)}.")
        return ancestor

    @property
    def teacher(self) -> Hyperparameters | None:
        """The experiment whose answers this one learns from, None where it learns from labels alone.

        Raises:
            ConfigError: ``distill_from`` changes nothing, or has a bad value.
        """
        if not self.distill_from:
            return None
        alone = dataclasses.replace(self, distill_from={}, distill_weight=0.5, temperature=2.0)
        teacher = alone._with(self.distill_from)
        if teacher == alone:
            raise ConfigError(
                f"hyperparameter 'distill_from': expected values that differ, got {dict(self.distill_from)}."
            )
        return teacher

    def _with(self, values: Mapping[str, Any]) -> Hyperparameters:
        """Return these with other ``values``, whose types are checked as those of all are: when they are set."""
        return dataclasses.replace(self, **values)

    def size_at(self, epoch: int) -> int:
        """Return the height in pixels that ``epoch``, 1 for the first, is trained at.

        It grows linearly, in steps of 16, and has reached its end for the last tenth of the epochs.
        Source: Tan and Le, "EfficientNetV2", ICML 2021 (progressive learning).
        """
        if not self.start_size or self.start_size >= self.predict_size:
            return self.predict_size
        progress = (epoch - 1) / max(1.0, 0.9 * self.epochs - 1)
        if progress >= 1:
            return self.predict_size
        grown = self.start_size + (self.predict_size - self.start_size) * progress
        return max(self.start_size, min(self.predict_size, round(grown / _SIZE_STEP) * _SIZE_STEP))


def names_a_file(weights: object) -> bool:
    """Return whether ``weights`` of ``model_args`` are a path rather than the name that the library has for some."""
    return isinstance(weights, str) and (weights.endswith(WEIGHTS_SUFFIXES) or "/" in weights)


def _require(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise ConfigError(f"hyperparameter {name!r}: expected {expected}, got {got!r}.")


def _checked_type(name: str, value: Any, hint: Any) -> Any:
    """Return ``value``, with an int widened where a float is due; raise ConfigError for another type."""
    if get_origin(hint) is Literal:
        _require(value in get_args(hint), name, f"one of {', '.join(map(str, get_args(hint)))}", value)
        return value
    if get_origin(hint) is not None:
        _require(isinstance(value, Mapping), name, "a dictionary", value)
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    _require(isinstance(value, hint) and (hint is bool or not isinstance(value, bool)), name, hint.__name__, value)
    _require(hint is not float or math.isfinite(value), name, "a finite number", value)
    return value


@cache
def _type_hints() -> Mapping[str, Any]:
    return get_type_hints(Hyperparameters)


HYPERPARAMETER_NAMES = tuple(spec.name for spec in dataclasses.fields(Hyperparameters))


def check_names(names: Mapping[str, object], *, where: str) -> None:
    """Raise ConfigError, with the nearest known name, for a key that is no hyperparameter."""
    for name in names:
        if name not in HYPERPARAMETER_NAMES:
            raise ConfigError(f"{where}: unknown hyperparameter {name!r}{suggest(name, HYPERPARAMETER_NAMES)}")


def parse_hyperparameters(values: Mapping[str, JsonValue] | Hyperparameters, *, where: str) -> Hyperparameters:
    """Return checked hyperparameters from a plain dictionary, defaults filled in.

    Raises:
        ConfigError: a key is unknown or a value has the wrong type or range; ``where`` names its origin.
    """
    if isinstance(values, Hyperparameters):
        return values
    check_names(values, where=where)
    unchecked: Mapping[str, Any] = values  # the types are checked when they are set
    try:
        return Hyperparameters(**unchecked)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
