"""Which epoch's weights predict, decided as the epochs come."""

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
class _SavedSelection:
    """What a checkpoint keeps beside the chosen weights."""

    epoch: int
    """0 where none is chosen."""
    score: float
    num_since: int


class EpochSelection:
    """The best epoch so far, where the rule is to choose one within a trial; otherwise the last one stands."""

    def __init__(self, training: TrainingHyperparameters, metric: Metric) -> None:
        """Compare epochs by ``metric``."""
        self._chooses = training.epoch_rule in ("inner", "scored_fold")
        self._patience = training.patience
        self._metric = metric
        self._epoch = 0
        self._score = float("nan")
        self._num_since = 0
        self._weights: Weights | None = None

    @property
    def is_over(self) -> bool:
        """Whether there was no better epoch for so long that none is waited for any more."""
        return self._chooses and 0 < self._patience <= self._num_since

    @property
    def epoch(self) -> int:
        """The best so far; 0 where none is chosen."""
        return self._epoch

    @property
    def weights(self) -> Weights | None:
        """Weights of the best epoch, on the CPU; None where the last ones stand."""
        return self._weights

    def see(self, epoch: int, score: float, weights: Callable[[], Weights]) -> None:
        """Take note of an evaluated epoch; its weights are asked for where it is the best so far.

        Of epochs that score alike the first stands.
        """
        if not self._chooses:
            return
        if self._epoch == 0 or self._metric.is_better(score, self._score):
            self._epoch, self._score, self._num_since = epoch, score, 0
            self._weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights().items()}
        else:
            self._num_since += 1

    def state(self) -> tuple[Weights, dict[str, JsonValue]]:
        """Return what a checkpoint has to keep: tensors, and JSON."""
        values: dict[str, JsonValue] = {
            "epoch": self._epoch,
            "score": self._score if self._epoch else None,
            "num_since": self._num_since,
        }
        return self._weights or {}, values

    def load(self, weights: Weights, values: Mapping[str, JsonValue]) -> None:
        """Go on from a checkpoint's state."""
        saved = from_json(_SavedSelection, values, where="checkpoint: choice")
        self._epoch, self._num_since = saved.epoch, saved.num_since
        self._score = saved.score
        self._weights = dict(weights) if self._epoch else None
