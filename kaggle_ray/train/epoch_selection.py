"""Which epoch's weights predict, or the mean of which epochs' weights, decided as the epochs come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from kaggle_ray.config import TrainingHyperparameters
from kaggle_ray.metrics import Metric
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenEpoch:
    """One of the best epochs so far."""

    epoch: int
    """1 for the first."""
    score: float
    weights: Weights
    """On the CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _SavedEpoch:
    """What a checkpoint keeps of a further epoch beside its weights."""

    epoch: int
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _SavedSelection:
    """What a checkpoint keeps beside the chosen weights."""

    epoch: int
    """0 where none is chosen."""
    score: float
    num_since: int
    others: tuple[_SavedEpoch, ...] = ()
    """The best after the first."""


class EpochSelection:
    """The best epochs so far, where the rule is to choose within a trial; otherwise the last one stands."""

    def __init__(self, training: TrainingHyperparameters, metric: Metric) -> None:
        """Compare epochs by ``metric``."""
        self._chooses = training.epoch_rule in ("inner", "scored_fold")
        self._num_best = training.average_best
        self._patience = training.patience
        self._metric = metric
        self._best: list[ChosenEpoch] = []
        self._num_since = 0

    @property
    def is_over(self) -> bool:
        """Whether there was no better epoch for so long that none is waited for any more."""
        return self._chooses and 0 < self._patience <= self._num_since

    @property
    def epoch(self) -> int:
        """The best so far; 0 where none is chosen."""
        return self._best[0].epoch if self._best else 0

    @property
    def weights(self) -> Weights | None:
        """Weights of the best epoch, on the CPU; None where the last ones stand."""
        return self._best[0].weights if self._best else None

    @property
    def best(self) -> tuple[ChosenEpoch, ...]:
        """The best so far, at most as many as are averaged, the best first; empty where none is chosen."""
        return tuple(self._best)

    def see(self, epoch: int, score: float, weights: Callable[[], Weights]) -> None:
        """Take note of an evaluated epoch; its weights are asked for where it is among the best so far.

        Of epochs that score alike the first stands.
        """
        if not self._chooses:
            return
        place = sum(not self._metric.is_better(score, each.score) for each in self._best)
        self._num_since = 0 if place == 0 else self._num_since + 1
        if place < self._num_best:
            copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights().items()}
            self._best.insert(place, ChosenEpoch(epoch=epoch, score=score, weights=copies))
            del self._best[self._num_best :]

    def state(self) -> tuple[Weights, dict[str, JsonValue]]:
        """Return what a checkpoint has to keep: tensors, and JSON."""
        others = self._best[1:]
        values: dict[str, JsonValue] = {
            "epoch": self.epoch,
            "score": self._best[0].score if self._best else None,
            "num_since": self._num_since,
            "others": [{"epoch": each.epoch, "score": each.score} for each in others],
        }
        of_others = {
            f"{_prefix(number)}{name}": tensor
            for number, each in enumerate(others)
            for name, tensor in each.weights.items()
        }
        return {**(self.weights or {}), **of_others}, values

    def load(self, weights: Weights, values: Mapping[str, JsonValue]) -> None:
        """Go on from a checkpoint's state."""
        saved = from_json(_SavedSelection, values, where="checkpoint: choice")
        self._num_since, self._best = saved.num_since, []
        if not saved.epoch:
            return
        left = dict(weights)
        others: list[ChosenEpoch] = []
        for number, other in enumerate(saved.others):
            prefix = _prefix(number)
            own = {name.removeprefix(prefix): left.pop(name) for name in weights if name.startswith(prefix)}
            others.append(ChosenEpoch(epoch=other.epoch, score=other.score, weights=own))
        self._best = [ChosenEpoch(epoch=saved.epoch, score=saved.score, weights=left), *others]


def _prefix(number: int) -> str:
    """Return what names the weights of a further epoch: no parameter's name has a slash."""
    return f"others/{number}/"
