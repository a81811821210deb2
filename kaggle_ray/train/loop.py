"""The training loop: one experiment on one fold's training rows, an epoch at a time.

Shape suffixes: N samples of a batch, H and W pixels, C columns of the prediction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import NonFiniteLossError
from kaggle_ray.images.augment import crop_batch, draw_randomness, recolor, to_float
from kaggle_ray.images.decode import Pixels
from kaggle_ray.metrics import Metric
from kaggle_ray.models import Model, build_model
from kaggle_ray.settings import Settings
from kaggle_ray.train.losses import mean_loss, probabilities, soft_targets
from kaggle_ray.train.optim import make_optimizer, make_schedule
from kaggle_ray.train.predict import autocast, predict_logits
from kaggle_ray.train.process import derive_seed, prepare_process
from kaggle_ray.types import BoolArray, EpochMetrics, IntArray, Task

Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class FitData:
    """What a fit sees of the competition."""

    pixels: Pixels
    """(N, H, W, 3) uint8: all training rows."""
    target: IntArray
    """(N,)"""
    train_rows: IntArray
    """Positions of the rows to train on."""
    valid_rows: IntArray
    """Positions of the rows to score; never trained on."""
    task: Task
    num_columns: int
    metric: Metric
    fold: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A model at the end of its budget."""

    model: nn.Module
    """With the weights that predict: the last ones, or their moving average."""
    trained_rows: BoolArray
    """(N,) the rows that batches were really made of."""


def fit(data: FitData, hyperparameters: Hyperparameters, settings: Settings) -> Generator[EpochMetrics, None, Fit]:
    """Train for the fixed budget of epochs, yielding what each measured; the generator's value is the fit.

    Whoever iterates may stop after any epoch by closing the generator. The result is a function of the arguments: the
    batches' order and all randomness derive from (seed, fold, epoch, row).

    Raises:
        NonFiniteLossError: an epoch's loss, in training or validation, is NaN or infinite.
    """
    device = prepare_process(settings, derive_seed(hyperparameters.seed, data.fold))
    model = make_model(data, hyperparameters, device)
    average = _make_average(model, hyperparameters)
    optimizer = make_optimizer(model, hyperparameters)
    num_steps = math.ceil(len(data.train_rows) / hyperparameters.batch_size)
    schedule = make_schedule(optimizer, hyperparameters, num_steps * hyperparameters.epochs)
    scaler = torch.amp.GradScaler(settings.device, enabled=settings.dtype == "float16")
    trained_rows = np.zeros(len(data.target), dtype=np.bool_)

    for epoch in range(1, hyperparameters.epochs + 1):
        started = time.perf_counter()
        model.train()
        losses = torch.zeros((), device=device)
        batches = EpochBatches(data, hyperparameters, epoch, num_steps, device)
        for rows in batches.rows:
            images_NCHW, targets_NC = batches.load(rows)
            trained_rows[rows] = True
            with autocast(settings):
                logits_NC = model(images_NCHW)
            loss = mean_loss(logits_NC.float(), targets_NC, data.task)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            lr = float(schedule.get_last_lr()[0])
            schedule.step()
            if average is not None:
                average.update_parameters(model)
            losses += loss.detach() * len(rows)
        train_loss = _finite(losses.item() / len(data.train_rows), epoch, hyperparameters)
        yield _measure(average or model, data, hyperparameters, settings, epoch, train_loss, lr, started)
    return Fit(model=average or model, trained_rows=trained_rows)


def make_model(data: FitData, hyperparameters: Hyperparameters, device: torch.device) -> Model:
    """Return the experiment's model on the device, its convolutions laid out channels last."""
    model = build_model(
        hyperparameters.model,
        num_outputs=data.num_columns,
        pretrained=hyperparameters.pretrained,
        model_args=hyperparameters.model_args,
    )
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class EpochBatches:
    """The batches of one epoch: each training row once, in an order of the epoch's own, in nearly equal batches."""

    def __init__(
        self, data: FitData, hyperparameters: Hyperparameters, epoch: int, num_steps: int, device: torch.device
    ) -> None:
        """Draw the epoch's order and randomness."""
        self._data = data
        self._hyperparameters = hyperparameters
        self._device = device
        self._size = hyperparameters.size_at(epoch)
        seeds = (hyperparameters.seed, data.fold, epoch)
        order = np.random.default_rng(derive_seed("order", *seeds)).permutation(data.train_rows)
        self.rows: list[IntArray] = np.array_split(order, num_steps)
        """Positions of each batch's rows."""
        self._draws = draw_randomness(derive_seed("augment", *seeds), len(data.target))
        self._mixing = np.random.default_rng(derive_seed("mixup", *seeds))

    def load(self, rows: IntArray) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) float32 images 0..1 and their (N, C) soft targets."""
        draws_NP, recipe = self._draws[rows], self._hyperparameters.augment
        pixels = crop_batch(self._data.pixels, rows, draws_NP, recipe, self._size)
        images_NCHW = recolor(
            to_float(torch.from_numpy(pixels).to(self._device, non_blocking=True)),
            torch.from_numpy(draws_NP).to(self._device),
            recipe,
        )
        targets_NC = soft_targets(
            torch.from_numpy(self._data.target[rows]).to(self._device),
            task=self._data.task,
            num_columns=self._data.num_columns,
            label_smoothing=self._hyperparameters.label_smoothing,
        )
        return self._mix(images_NCHW, targets_NC) if self._hyperparameters.mixup else (images_NCHW, targets_NC)

    def _mix(self, images_NCHW: Tensor, targets_NC: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the batch with itself in another order (Zhang et al., ICLR 2018)."""
        share = float(self._mixing.beta(self._hyperparameters.mixup, self._hyperparameters.mixup))
        partners = torch.from_numpy(self._mixing.permutation(len(images_NCHW))).to(self._device)
        return (
            torch.lerp(images_NCHW[partners], images_NCHW, share),
            torch.lerp(targets_NC[partners], targets_NC, share),
        )


def _make_average(model: nn.Module, hyperparameters: Hyperparameters) -> AveragedModel | None:
    if not hyperparameters.ema_decay:
        return None
    return AveragedModel(model, multi_avg_fn=_moving_average(hyperparameters.ema_decay), use_buffers=True)


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return an exponential moving average that forgets its first, random weights sooner than ``decay`` would."""

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, num_averaged: Tensor | int) -> None:
        num = int(num_averaged)
        share = 1 - min(decay, (1 + num) / (10 + num))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share)
        else:
            torch._foreach_copy_(averaged, current)

    return update


def _measure(
    model: nn.Module,
    data: FitData,
    hyperparameters: Hyperparameters,
    settings: Settings,
    epoch: int,
    train_loss: float,
    lr: float,
    started: float,
) -> EpochMetrics:
    """Score the fold's rows with the weights that would predict, at the epoch's size and without test-time views."""
    logits_NC = predict_logits(
        model,
        data.pixels,
        data.valid_rows,
        size=hyperparameters.size_at(epoch),
        batch_size=hyperparameters.batch_size,
        settings=settings,
    )
    target = data.target[data.valid_rows]
    targets_NC = soft_targets(
        torch.from_numpy(target), task=data.task, num_columns=data.num_columns, label_smoothing=0.0
    )
    valid_loss = _finite(mean_loss(logits_NC, targets_NC, data.task).item(), epoch, hyperparameters)
    return EpochMetrics(
        epoch=epoch,
        train_loss=train_loss,
        valid_loss=valid_loss,
        score=data.metric.score(target, probabilities(logits_NC, data.task).numpy()),
        lr=lr,
        duration_s=time.perf_counter() - started,
    )


def _finite(loss: float, epoch: int, hyperparameters: Hyperparameters) -> float:
    """Return ``loss``. That of validation tells of an epoch whose last step was the one that went too far."""
    if not math.isfinite(loss):
        raise NonFiniteLossError(f"the loss of epoch {epoch} is {loss} at lr {hyperparameters.lr}. Try a smaller lr.")
    return loss
