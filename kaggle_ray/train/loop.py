"""The training loop: one experiment on one fold's training rows, an epoch at a time.

Shape suffixes: N samples, C columns of the prediction, D of a table.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kaggle_ray.config import Hyperparameters
from kaggle_ray.decide import default_score
from kaggle_ray.errors import ConfigError, NonFiniteLossError
from kaggle_ray.images.augment import resize_masks
from kaggle_ray.models import Model, build_model
from kaggle_ray.settings import Settings
from kaggle_ray.train.batches import EpochBatches, Finisher, load, num_steps_of, to_device
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.train.optim import make_optimizer, make_schedule
from kaggle_ray.train.predict import Predictor, autocast
from kaggle_ray.train.process import derive_seed, prepare_process
from kaggle_ray.types import BoolArray, EpochMetrics

Tensors = tuple[Tensor, ...] | list[Tensor]

_AVERAGED = "module."
"""Prefix of the names of averaged weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A model at the end of its budget."""

    predictor: Predictor
    """With the weights that predict: the last ones, or their moving average."""
    weights: Mapping[str, Tensor]
    """Those weights, and the scale of the outputs."""
    trained_rows: BoolArray
    """(N,) the rows that batches were really made of."""


def fit(
    data: FitData,
    hyperparameters: Hyperparameters,
    settings: Settings,
    *,
    initial_weights: Mapping[str, Tensor] | None = None,
) -> Generator[EpochMetrics, None, Fit]:
    """Train for the fixed budget of epochs, yielding what each measured; the generator's value is the fit.

    Whoever iterates may stop after any epoch by closing the generator. The result is a function of the arguments: the
    batches' order and all randomness derive from (seed, fold, epoch, sample id).

    Args:
        data: the fold.
        hyperparameters: of the experiment.
        settings: how it runs.
        initial_weights: ``Fit.weights`` to start from, of a parent experiment's same fold; None starts afresh.

    Raises:
        NonFiniteLossError: an epoch's loss, in training or validation, is NaN or infinite.
        ConfigError: the initial weights are those of another architecture.
    """
    device = prepare_process(settings, derive_seed(hyperparameters.seed, data.fold))
    model = make_model(data, hyperparameters, device, initial_weights)
    average = _make_average(model, hyperparameters)
    outputs = make_outputs(data, hyperparameters)
    optimizer = make_optimizer(model, hyperparameters)
    schedule = make_schedule(optimizer, hyperparameters, num_steps_of(data, hyperparameters) * hyperparameters.epochs)
    scaler = torch.amp.GradScaler(settings.device, enabled=settings.dtype == "float16")
    predictor = Predictor(average or model, outputs, hyperparameters, settings, mask_size=data.mask_size)
    trained_rows = np.zeros(len(data.target), dtype=np.bool_)

    for epoch in range(1, hyperparameters.epochs + 1):
        started = time.perf_counter()
        model.train()
        losses = torch.zeros((), device=device)
        batches = EpochBatches(data, hyperparameters, epoch, uses_images=model.uses_images)
        finish = Finisher(data, outputs, hyperparameters, epoch, device)
        for batch in load(batches, settings):
            images, table_ND, targets = finish(batch)
            trained_rows[batch.rows] = True
            with autocast(settings):
                logits = model(images, table_ND)
            loss = outputs.mean_loss(logits.float(), targets)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            lr = float(schedule.get_last_lr()[0])
            schedule.step()
            if average is not None:
                average.update_parameters(model)
            losses += loss.detach() * len(batch.rows)
        train_loss = _finite(losses.item() / len(data.train_rows), epoch, hyperparameters)
        yield _measure(predictor, outputs, data, hyperparameters, epoch, train_loss, lr, started)
    return Fit(predictor=predictor, weights=_weights(average or model, outputs), trained_rows=trained_rows)


def make_model(
    data: FitData,
    hyperparameters: Hyperparameters,
    device: torch.device,
    initial_weights: Mapping[str, Tensor] | None = None,
) -> Model:
    """Return the experiment's model on the device, its convolutions laid out channels last."""
    model = build_model(
        hyperparameters.model,
        data.shapes,
        pretrained=hyperparameters.pretrained and initial_weights is None,
        model_args=hyperparameters.model_args,
        head=hyperparameters.head,
    )
    if data.inputs.table is not None:
        model.fit_table(torch.from_numpy(data.inputs.table[data.train_rows]))
    if initial_weights is not None:
        own = {name.removeprefix(_AVERAGED): tensor for name, tensor in initial_weights.items()}
        try:
            model.load_state_dict({name: own[name] for name in model.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise ConfigError(
                f"init_from: the parent's weights do not fit {hyperparameters.model}: {error}. "
                f"Let init_from change what leaves the architecture as it is, such as image_size."
            ) from error
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def make_outputs(data: FitData, hyperparameters: Hyperparameters) -> Outputs | PixelOutputs:
    """Return how the fold's heads are trained on; regression targets are scaled by the training rows."""
    if data.masks is not None:
        return PixelOutputs(data.heads[0])
    return Outputs(data.heads, data.target[data.train_rows], label_smoothing=hyperparameters.label_smoothing)


def _weights(model: nn.Module, outputs: Outputs | PixelOutputs) -> dict[str, Tensor]:
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    if isinstance(outputs, Outputs):
        weights |= {"outputs.mean": outputs.mean, "outputs.std": outputs.std}
    return weights


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
    predictor: Predictor,
    outputs: Outputs | PixelOutputs,
    data: FitData,
    hyperparameters: Hyperparameters,
    epoch: int,
    train_loss: float,
    lr: float,
    started: float,
) -> EpochMetrics:
    """Score the fold's rows with the weights that would predict, at the epoch's size and without test-time views."""
    height = hyperparameters.size_at(epoch)
    total, values = 0.0, []
    for rows, logits in predictor.logits(data.inputs, data.valid_rows, height=height):
        if data.masks is None:
            of_rows = to_device(data.target[rows], logits.device)
        else:
            masks = resize_masks(data.masks.read(rows), *hyperparameters.sides(height), nearest=logits.shape[1] > 1)
            of_rows = to_device(masks, logits.device)
        total += outputs.mean_loss(logits, outputs.soft_targets(of_rows)).item() * len(rows)
        values.append(predictor.read(logits))
    values_NC = np.concatenate(values)
    return EpochMetrics(
        epoch=epoch,
        train_loss=train_loss,
        valid_loss=_finite(total / len(data.valid_rows), epoch, hyperparameters),
        score=default_score(data.metric, data.target[data.valid_rows], values_NC),
        lr=lr,
        duration_s=time.perf_counter() - started,
    )


def _finite(loss: float, epoch: int, hyperparameters: Hyperparameters) -> float:
    """Return ``loss``. That of validation tells of an epoch whose last step was the one that went too far."""
    if not math.isfinite(loss):
        raise NonFiniteLossError(f"the loss of epoch {epoch} is {loss} at lr {hyperparameters.lr}. Try a smaller lr.")
    return loss
