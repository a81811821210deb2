"""What an experiment is: hyperparameters, flat where a user writes them, in parts where the code takes them."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from kaggle_ray.config.images import ImageHyperparameters
from kaggle_ray.config.loss import LossHyperparameters
from kaggle_ray.config.model import ModelHyperparameters
from kaggle_ray.config.optimizer import OptimizerHyperparameters
from kaggle_ray.config.part import flat_names, flat_values, part_of, require
from kaggle_ray.config.predict import PredictHyperparameters
from kaggle_ray.config.pseudolabels import PseudolabelHyperparameters
from kaggle_ray.config.schedule import ScheduleHyperparameters
from kaggle_ray.config.soups import check_soup
from kaggle_ray.config.training import TrainingHyperparameters
from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.field_help import field_help
from kaggle_ray.given import HyperparameterValue
from kaggle_ray.types import JsonValue

_PARTS = (
    ModelHyperparameters,
    ImageHyperparameters,
    TrainingHyperparameters,
    OptimizerHyperparameters,
    ScheduleHyperparameters,
    LossHyperparameters,
    PseudolabelHyperparameters,
    PredictHyperparameters,
)

HYPERPARAMETER_NAMES = tuple(name for part in _PARTS for name in flat_names(part))
"""What a user's dictionary may hold."""


@dataclass(frozen=True, init=False, slots=True)
class Hyperparameters:
    """One point of a search space, made of flat values. A dictionary with the same keys does as well.

    >>> from kaggle_ray import Hyperparameters
    >>> hyperparameters = Hyperparameters(model="resnet34", lr=3e-4)
    >>> hyperparameters.optimizer.lr, hyperparameters.training.epochs
    (0.0003, 10)
    """

    model: ModelHyperparameters
    images: ImageHyperparameters
    training: TrainingHyperparameters
    optimizer: OptimizerHyperparameters
    schedule: ScheduleHyperparameters
    loss: LossHyperparameters
    pseudolabels: PseudolabelHyperparameters
    predict: PredictHyperparameters

    def __init__(self, **values: HyperparameterValue) -> None:
        """Take flat values, such as ``lr=1e-3``; the others have their defaults.

        Raises:
            ConfigError: a name is unknown, or a value has the wrong type or range: with what was expected and given.
        """
        check_names(values, where="hyperparameters")
        for name, part in zip(self.__slots__, _PARTS, strict=True):
            object.__setattr__(self, name, part_of(part, values))
        check_names(self.model.init_from, where="init_from")
        for values_of_member in self.model.soup_of:
            check_names(values_of_member, where="soup_of")
        check_names(self.loss.distill_from, where="distill_from")
        check_names(self.pseudolabels.teacher, where="pseudolabel_from")
        self.schedule.full_args(epochs=self.training.epochs)
        swa_epochs, epochs = self.optimizer.swa_epochs, self.training.epochs
        require(swa_epochs <= epochs, "swa_epochs", f"at most epochs, which is {epochs}", swa_epochs)
        if swa_epochs:
            averaged = self.training.average_best
            require(averaged == 1, "average_best", "1 with swa_epochs: one average predicts", averaged)

    def __hash__(self) -> int:
        """Return the same for equal ones, so that thousands are told apart in no more time than they take to make."""
        return hash(tuple(map(_hashable, self.to_dict().values())))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return all values flat, as a user's dictionary has them."""
        return {flat: value for name in self.__slots__ for flat, value in flat_values(getattr(self, name)).items()}

    def replace(self, **values: HyperparameterValue) -> Hyperparameters:
        """Return the same with other flat ``values``. Raises ConfigError as on creation."""
        return Hyperparameters(**{**self.to_dict(), **values})

    @property
    def parent(self) -> Hyperparameters | None:
        """The experiment whose weights this one starts from, None where it starts afresh.

        Raises:
            ConfigError: ``init_from`` changes nothing, has a bad value, or names an experiment that is trained on rows
                which this one chooses its epoch by.
        """
        init_from = self.model.init_from
        if not init_from:
            return None
        ancestor = self._beginning_with({"init_from": {}, **init_from})
        if ancestor == self._beginning_with({"init_from": {}}):
            raise ConfigError(f"hyperparameter 'init_from': expected values that differ, got {dict(init_from)}.")
        if self.training.epoch_rule == "inner" and self.training.inner_split != ancestor.training.inner_split:
            raise ConfigError(
                "hyperparameter 'init_from': with epoch_rule inner the epoch would be chosen by rows that the "
                "experiment it starts from was trained on. Leave epoch_rule, inner_share and seed out of init_from, so "
                "that both hold out the same rows, or use another epoch_rule."
            )
        return ancestor

    @property
    def teacher(self) -> Hyperparameters | None:
        """The experiment whose answers this one learns from, None where it learns from labels alone.

        Raises:
            ConfigError: ``distill_from`` changes nothing, or has a bad value.
        """
        distill_from = self.loss.distill_from
        if not distill_from:
            return None
        untaught: dict[str, JsonValue] = {"distill_from": {}, "distill_out_of_fold": False}
        alone = self._beginning_with({**untaught, "distill_weight": 0.5, "temperature": 2.0})
        teacher = alone.replace(**distill_from)
        if teacher == alone:
            raise ConfigError(f"hyperparameter 'distill_from': expected values that differ, got {dict(distill_from)}.")
        if self.loss.distill_out_of_fold:
            teacher._check_fits_alone()
        return teacher

    def _check_fits_alone(self) -> None:
        """Raise ConfigError where a fit without two folds takes more than these: other experiments, or their rows."""
        rule = self.training.epoch_rule
        if rule not in ("last", "inner") or self.ancestors:
            got = f"epoch_rule {rule}" if not self.ancestors else "one that starts or learns from another"
            raise ConfigError(
                f"hyperparameter 'distill_out_of_fold': expected a teacher of epoch_rule last or inner that starts and "
                f"learns from no other, got {got}. Say so in distill_from, such as 'pseudolabel_share': 0.0."
            )

    @property
    def labeller(self) -> Hyperparameters | None:
        """The experiment whose answers are this one's pseudolabels, None where it has none.

        Raises:
            ConfigError: ``pseudolabel_from`` has a bad value.
        """
        if not self.pseudolabels.share:
            return None
        return self._beginning_with(flat_values(PseudolabelHyperparameters())).replace(**self.pseudolabels.teacher)

    @property
    def souped(self) -> tuple[Hyperparameters, ...]:
        """The experiments whose weights are averaged; empty where this one is trained itself.

        Raises:
            ConfigError: ``soup_of`` has a bad value or fewer than two experiments, one of another network or whose end
                does not predict, or there are no rows that a greedy soup could be chosen by.
        """
        if not self.model.soup_of:
            return ()
        alone = {"soup_of": [], "soup": "greedy"}
        souped = tuple(dict.fromkeys(self._beginning_with({**alone, **values}) for values in self.model.soup_of))
        check_soup(souped, self.model.soup)
        return souped

    @property
    def ancestors(self) -> tuple[Hyperparameters, ...]:
        """The experiments that this one averages, starts or learns from, which are trained first."""
        if souped := self.souped:
            return souped
        return tuple(each for each in (self.parent, self.teacher, self.labeller) if each is not None)

    def _beginning_with(self, values: Mapping[str, JsonValue]) -> Hyperparameters:
        """Return an ancestor's: what it keeps of its epochs is its own, or it would not be the one that is there."""
        return self.replace(**{"keep_epochs": [], **values})

    @property
    def why_unproven(self) -> str | None:
        """Why what the experiment predicts gets no honest score, as the end of a sentence; None where nothing is known.

        What a trial's loader yielded is proven apart from this; here is what the experiment itself declares.
        """
        if self.training.epoch_rule == "scored_fold":
            return "its epoch was chosen on the rows that are scored (epoch_rule scored_fold)"
        if self.model.foreign_weights and not self.model.trust_weights:
            return (
                f"it starts from {', '.join(self.model.foreign_weights)}, which may have been trained on the rows that "
                f"are scored; trust_weights=true declares that it was not"
            )
        inherited = (each.why_unproven for each in self.ancestors)
        return next((f"of an experiment that it learns from: {why}" for why in inherited if why), None)

    def size_at(self, epoch: int) -> int:
        """Return the height in pixels that ``epoch``, 1 for the first, is trained at."""
        return self.images.size_at(epoch, epochs=self.training.epochs)

    @property
    def sides_seen(self) -> list[tuple[int, int]]:
        """Each height and width in pixels of images that the network gets, in training or prediction, ascending."""
        heights = {self.size_at(epoch) for epoch in range(1, self.training.epochs + 1)}
        return [self.images.sides(height) for height in sorted(heights | {*self.predict.heights(self.images)})]


def _hashable(value: JsonValue) -> Hashable:
    """Return what is equal where values are, and has a hash."""
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(each)) for name, each in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _signature() -> inspect.Signature:
    """Return the flat values by keyword, with their defaults, for whoever asks for help."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    defaults = Hyperparameters().to_dict()
    return inspect.Signature([inspect.Parameter(name, keyword, default=value) for name, value in defaults.items()])


def check_names(names: Mapping[str, object], *, where: str) -> None:
    """Raise ConfigError, with the nearest known name, for a key that is no hyperparameter."""
    for name in names:
        if name not in HYPERPARAMETER_NAMES:
            raise ConfigError(f"{where}: unknown hyperparameter {name!r}{suggest(name, HYPERPARAMETER_NAMES)}")


def parse_hyperparameters(
    values: Mapping[str, HyperparameterValue] | Hyperparameters, *, where: str
) -> Hyperparameters:
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


def _documented(text: str) -> str:
    """Return a docstring with what is said of each flat value after its first paragraph."""
    summary, _, rest = inspect.cleandoc(text).partition("\n\n")
    told = {flat: field_help(part).get(name, "") for part in _PARTS for flat, name in flat_names(part).items()}
    described = "\n".join(f"    {flat}: {words}" for flat, words in told.items())
    return f"{summary}\n\nArgs:\n{described}\n\n{rest}"


Hyperparameters.__doc__ = _documented(Hyperparameters.__doc__ or "")
Hyperparameters.__signature__ = _signature()  # type: ignore[attr-defined]
