"""What an experiment is: hyperparameters from plain dictionaries, and search spaces that expand to lists of them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.types import Experiment, JsonValue, short_digest

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["one_cycle", "cosine", "constant"]
TestTimeAugmentation = Literal["none", "hflip", "hflip_sizes"]

_SIZE_STEP = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameters:
    """One point of a search space. A dictionary with the same keys does as well; an unknown key is an error."""

    model: str = "resnet18"
    """A name of ``kaggle_ray.models``: our own, torchvision's, or ``timm/<name>``."""
    model_args: Mapping[str, JsonValue] = field(default_factory=dict)
    """Keyword arguments of the model's builder, such as ``{"width": 24}``."""
    pretrained: bool = False
    """Start from the library's own weights (downloaded by it at the first use)."""
    image_size: int = 64
    """Height in pixels that images are decoded to; also their width, unless ``aspect`` says otherwise."""
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
    """Samples per optimizer step."""
    epochs: int = 10
    """Passes over the training rows: the fixed budget, of which the last weights are used."""
    optimizer: Optimizer = "adamw"
    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.05
    """Decoupled for adamw; biases and normalisation layers are exempt."""
    momentum: float = 0.9
    """For sgd; the first beta of adamw."""
    beta2: float = 0.999
    """For adamw: decay per step of the second moment."""
    schedule: Schedule = "one_cycle"
    warmup: float = 0.25
    """Fraction of all steps in which the learning rate rises; not for constant."""
    label_smoothing: float = 0.0
    """0 to 1: how much of a target goes to the other classes."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that mixes pairs within a batch (Zhang et al., ICLR 2018); 0 is off."""
    cutmix: float = 0.0
    """Alpha of the Beta distribution of the area that each image of a batch gets from another (Yun et al., ICCV 2019);
    0 is off."""
    ema_decay: float = 0.0
    """Decay per step of the exponential moving average of the weights that predict; 0 is off."""
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
        hints = get_type_hints(type(self))
        for spec in dataclasses.fields(self):
            value = _checked_type(spec.name, getattr(self, spec.name), hints[spec.name])
            object.__setattr__(self, spec.name, value)
        for name in ("image_size", "batch_size", "epochs"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _require(self.lr > 0, "lr", "more than 0", self.lr)
        _require(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        for name in ("mixup", "cutmix", "tile"):
            _require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        _require(0.1 <= self.aspect <= 10, "aspect", "from 0.1 to 10", self.aspect)
        check_names(self.init_from, where="init_from")
        for name in ("train_size", "start_size"):
            _require(0 <= getattr(self, name) <= self.image_size, name, "from 0 to image_size", getattr(self, name))
        for name in ("warmup", "label_smoothing", "momentum", "beta2", "ema_decay"):
            _require(0 <= getattr(self, name) < 1, name, "from 0 to below 1", getattr(self, name))
        _require(0 <= self.seed < 2**31, "seed", "from 0 to 2**31 - 1", self.seed)

    @property
    def predict_size(self) -> int:
        """Height in pixels that images are predicted at, and trained at in the end."""
        return self.train_size or self.image_size

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
        ancestor = dataclasses.replace(self, **{"init_from": {}, **self.init_from})
        if ancestor == dataclasses.replace(self, init_from={}):
            raise ConfigError(f"hyperparameter 'init_from': expected values that differ, got {dict(self.init_from)}.")
        return ancestor

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
    try:
        return Hyperparameters(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """Which experiments to run: every point of ``grid`` and every one of ``experiments``, over ``base``.

    A key that is no hyperparameter raises ConfigError at once, on import of the file that defines the space.
    """

    base: Mapping[str, JsonValue] = field(default_factory=dict)
    grid: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    """Values per hyperparameter; their product is taken, the last key fastest."""
    experiments: Sequence[Mapping[str, JsonValue]] = ()
    """Further points, each a dictionary; with a grid, each is combined with every point of it."""

    def __post_init__(self) -> None:
        """Check every point. Raises ConfigError."""
        self.expand()

    def expand(self, overrides: Mapping[str, JsonValue] | None = None) -> tuple[Hyperparameters, ...]:
        """Return the points in order, without duplicates; ``overrides`` replaces values of ``base``.

        Raises:
            ConfigError: an unknown or misspelt hyperparameter, a bad value, or an override that the space varies.
        """
        overrides = overrides or {}
        check_names(overrides, where="--set")
        varied = {*self.grid, *(key for point in self.experiments for key in point)}
        if fixed := sorted(varied & set(overrides)):
            raise ConfigError(f"--set {fixed[0]}: the search space varies it. Override only what its base fixes.")
        base = {**self.base, **overrides}
        check_names(base, where="base")
        check_names(self.grid, where="grid")
        for name, values in self.grid.items():
            if not isinstance(values, list | tuple):
                raise ConfigError(f"grid: {name!r}: expected a list of values, got {values!r}.")
        products = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        points: list[Hyperparameters] = []
        for number, extra in enumerate(self.experiments or [{}]):
            check_names(extra, where=f"experiments[{number}]")
            for product in products:
                point = parse_hyperparameters({**base, **extra, **product}, where=f"experiment {len(points)}")
                points += [known for known in _lineage_of(point) if known not in points]
        if not points:
            raise ConfigError("the search space is empty: a key of the grid has no values.")
        return tuple(points)


def _lineage_of(point: Hyperparameters) -> list[Hyperparameters]:
    """Return ``point`` after the experiments that it starts from, the first ancestor first."""
    ancestors = [] if point.parent is None else _lineage_of(point.parent)
    return [*ancestors, point]


def parse_override(text: str) -> tuple[str, JsonValue]:
    """Return the name and value of ``name=value``; the value is read as JSON, else taken as text.

    Raises:
        ConfigError: there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {text}: expected name=value, such as --set lr=3e-4.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def make_experiments(
    points: Sequence[Hyperparameters], *, competition: str, folds_digest: str
) -> tuple[Experiment, ...]:
    """Return the experiments of ``points``, named by what tells them apart."""
    dicts = [dataclasses.asdict(point) for point in points]
    flat = [_flatten(values) for values in dicts]
    keys = sorted({key for values in flat for key in values} - {"model"})
    varying = [key for key in keys if any(values.get(key) != flat[0].get(key) for values in flat)]
    return tuple(
        Experiment(
            experiment_id=make_experiment_id(point, competition=competition, folds_digest=folds_digest),
            name=" ".join([str(values["model"]), *(f"{key}={known[key]}" for key in varying if key in known)]),
            hyperparameters=values,
            parent_id=None
            if point.parent is None
            else make_experiment_id(point.parent, competition=competition, folds_digest=folds_digest),
        )
        for point, values, known in zip(points, dicts, flat, strict=True)
    )


def make_experiment_id(point: Hyperparameters, *, competition: str, folds_digest: str) -> str:
    """Return 12 hex digits of sha256 over the canonical JSON of competition, hyperparameters and folds."""
    values = dataclasses.asdict(point)
    return short_digest({"competition": competition, "hyperparameters": values, "folds": folds_digest})


def _flatten(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return hyperparameters with the model's arguments among them; one of a hyperparameter's name gets a prefix."""
    arguments = values["model_args"].items()
    named = {f"model_args.{name}" if name in HYPERPARAMETER_NAMES else name: value for name, value in arguments}
    return {**{name: value for name, value in values.items() if name != "model_args"}, **named}
