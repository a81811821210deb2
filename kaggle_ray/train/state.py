"""All that a fit changes as it goes, and so has to be in a checkpoint.

Packed and restored, a fit goes on with the same bits. What is lost on purpose: the norms that ``GradientWatch``
compares with, and whether a warning was given. All else of a fit is a function of its arguments, and is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.train.batches import num_steps_of
from kaggle_ray.train.checkpoint import (
    below_prefix,
    load_optimizer,
    optimizer_state,
    pack,
    unpack,
    with_prefix,
)
from kaggle_ray.train.constraints import constrain
from kaggle_ray.train.epoch_selection import EpochSelection
from kaggle_ray.train.freezing import Freezing
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.optim import make_optimizer
from kaggle_ray.train.schedules import make_schedule
from kaggle_ray.train.start import make_average, make_model, split_for_features
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import EpochMetrics, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class FitValues:
    """What a fit's checkpoint has beside tensors."""

    history: tuple[EpochMetrics, ...]
    """Metrics of the epochs that have ended."""
    lr: float
    step_of_epoch: int
    loss_of_epoch: float
    """Sum over the steps of the epoch under way."""
    seconds_of_epoch: float
    optimizer: JsonValue
    """What ``optimizer_state`` returns beside tensors; the next three are those of the schedule, the scaler and the
    ``EpochSelection``."""
    schedule: Mapping[str, JsonValue]
    scaler: Mapping[str, JsonValue]
    choice: Mapping[str, JsonValue]
    notes: Mapping[str, JsonValue]
    """What whoever iterates wants to find again."""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the values as JSON."""
        return asdict(self)


class FitState:
    """The model and all that trains it, how far it is, and what it measured."""

    def __init__(
        self,
        data: FitData,
        hyperparameters: Hyperparameters,
        settings: Settings,
        device: torch.device,
        initial_weights: Mapping[str, Tensor] | None,
    ) -> None:
        """Begin an experiment's fit on one fold, at ``initial_weights`` or afresh.

        Raises:
            ConfigError: the initial weights are those of another architecture.
        """
        self.model = make_model(data, hyperparameters.model, device, initial_weights)
        split_for_features(self.model, hyperparameters)
        self.average = make_average(self.model, hyperparameters.optimizer, epochs=hyperparameters.training.epochs)
        self.freezing = Freezing(self.model, hyperparameters.model)
        self.optimizer = make_optimizer(self.model, hyperparameters.optimizer)
        constrain(self.optimizer, self.model, hyperparameters.optimizer)
        self.schedule = make_schedule(
            self.optimizer, hyperparameters, num_steps_of(data, hyperparameters.training.batch_size)
        )
        self.scaler = torch.amp.GradScaler(settings.device, enabled=settings.dtype == "float16")
        self.epoch_selection = EpochSelection(hyperparameters.training, data.metric)
        self.history: list[EpochMetrics] = []
        """Metrics of the epochs that have ended."""
        self.trained_rows = np.zeros(data.num_rows, dtype=np.bool_)
        """(N,) the rows that batches were really made of, and after them (T,) test rows with pseudolabels.

        Those that the scale of the images was computed over are among them from the beginning.
        """
        if data.scale is not None and data.scale.fitted_rows is not None:
            self.trained_rows[data.scale.fitted_rows] = True
        self.notes: dict[str, JsonValue] = {}
        """What whoever iterates wants to find again after a resume, as JSON."""
        self.lr = 0.0
        self.step_of_epoch = 0
        """Steps of the epoch under way that are done."""
        self.loss_of_epoch = 0.0
        self.seconds_of_epoch = 0.0

    def begin_epoch(self) -> None:
        """Let no step of the next epoch be done."""
        self.step_of_epoch, self.loss_of_epoch, self.seconds_of_epoch = 0, 0.0, 0.0

    def pack(self) -> bytes:
        """Return a checkpoint."""
        of_optimizer, optimizer_values = optimizer_state(self.optimizer)
        of_epoch_selection, choice_values = self.epoch_selection.state()
        tensors = {
            **with_prefix("model", self.model.state_dict()),
            **with_prefix("average", {} if self.average is None else self.average.state_dict()),
            **with_prefix("optimizer", of_optimizer),
            **with_prefix("chosen", of_epoch_selection),
            "trained_rows": torch.from_numpy(self.trained_rows),
        }
        values = FitValues(
            history=tuple(self.history),
            lr=self.lr,
            step_of_epoch=self.step_of_epoch,
            loss_of_epoch=self.loss_of_epoch,
            seconds_of_epoch=self.seconds_of_epoch,
            optimizer=optimizer_values,
            schedule=self.schedule.state_dict(),
            scaler=self.scaler.state_dict(),
            choice=choice_values,
            notes=self.notes,
        )
        return pack(tensors, values.to_json())

    def restore(self, checkpoint: bytes) -> None:
        """Take the state that ``pack`` returned of a fit with the same arguments.

        Raises:
            Exception: it cannot be taken; by then a part of it is, and this state is of no use.
        """
        tensors, unpacked = unpack(checkpoint, where="checkpoint")
        values = from_json(FitValues, unpacked, where="checkpoint")
        self.model.load_state_dict(below_prefix("model", tensors))
        if self.average is not None:
            self.average.load_state_dict(below_prefix("average", tensors))
        load_optimizer(self.optimizer, below_prefix("optimizer", tensors), values.optimizer)
        self.schedule.load_state_dict(values.schedule)
        self.scaler.load_state_dict(dict(values.scaler))
        self.epoch_selection.load(below_prefix("chosen", tensors), values.choice)
        self.history = list(values.history)
        self.trained_rows = tensors["trained_rows"].numpy().copy()
        self.lr, self.notes = values.lr, dict(values.notes)
        self.step_of_epoch, self.seconds_of_epoch = values.step_of_epoch, values.seconds_of_epoch
        self.loss_of_epoch = values.loss_of_epoch
