"""The learning-rate range test: train at rates that grow from step to step, and see where the loss falls.

Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import NonFiniteLossError
from kaggle_ray.images.datasets import open_masks, open_target
from kaggle_ray.train.batches import Batch, EpochBatches
from kaggle_ray.train.fold_data import TrainingRows, hashes_of, train_inputs
from kaggle_ray.train.freezing import Freezing
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.loading import load
from kaggle_ray.train.losses.objective import Objective
from kaggle_ray.train.lr_sweep import LrSweep, lr_sweep
from kaggle_ray.train.on_device import Finisher
from kaggle_ray.train.optim import LR_FACTOR, make_optimizer
from kaggle_ray.train.process import autocast, derive_seed, prepare_process, unprepared_after
from kaggle_ray.train.start import make_model
from kaggle_ray.types import Folds

LOWEST, HIGHEST, NUM_STEPS = 1e-7, 10.0, 120
"""The range of learning rates, and the steps that it is gone through in: 15 per decade."""
_DIVERGED = 4.0
"""The mean of the last losses over the lowest that it was, and above the first loss, too: the test ends. Where the
lowest is nearly nothing, the noise of batches is a multiple of it."""
_MEMORY = 0.8
"""Share of the mean of the last losses that stays from step to step."""
_LEAST_STEPS = 10


def sweep_competition(
    competition: Competition,
    samples: Samples,
    folds: Folds,
    hyperparameters: Hyperparameters,
    settings: Settings,
    cache_dir: Path,
) -> LrSweep:
    """Return the range test of an experiment on the training rows of fold 0; nothing is kept but decoded images."""
    sides = hyperparameters.images.decoded_sides
    rows = TrainingRows(
        competition=competition,
        samples=samples,
        target=open_target(competition, samples, cache_dir)[0],
        hashes=hashes_of(samples),
        groups=samples.groups,
    )
    data = rows.of_fold(
        folds,
        0,
        hyperparameters,
        inputs=train_inputs(competition, samples, sides, cache_dir),
        masks=open_masks(competition, samples, sides, cache_dir),
    )
    return find_lr(data, hyperparameters, settings)


def find_lr(
    data: FitData,
    hyperparameters: Hyperparameters,
    settings: Settings,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    num_steps: int = NUM_STEPS,
) -> LrSweep:
    """Return the range test of an experiment as its first epoch trains it: model, batches, loss, frozen part.

    The model is made for the test and thrown away; of the hyperparameters ``lr`` and ``schedule`` play no part. It is a
    function of the arguments, and leaves seeds, threads and flags of this process as they were.

    Args:
        data: the fold, of whose training rows batches are made, epoch after epoch.
        hyperparameters: of the experiment; one that starts from another's weights is tested without them.
        settings: how it runs.
        lowest: the learning rate of the first step, that of the head where ``layer_decay`` makes them differ.
        highest: that of the last step, which is seldom reached.
        num_steps: at most; the rate grows by the same factor in each.

    Raises:
        NonFiniteLossError: the loss was never finite for long enough to suggest anything.
    """
    size = hyperparameters.size_at(1)
    tested = hyperparameters.replace(train_size=size, start_size=0, init_from={}, distill_from={})
    growth = (highest / lowest) ** (1 / (num_steps - 1))
    lrs: list[float] = []
    losses: list[float] = []
    recent, best = 0.0, math.inf
    with unprepared_after():
        for step, loss in enumerate(_train(data, tested, settings, lowest=lowest, growth=growth)):
            if not math.isfinite(loss):
                break
            lrs.append(lowest * growth**step)
            losses.append(loss)
            recent = _MEMORY * recent + (1 - _MEMORY) * loss
            mean = recent / (1 - _MEMORY ** (step + 1))
            best = min(best, mean)
            if mean > max(_DIVERGED * best, losses[0]) or len(losses) == num_steps:
                break
    if len(losses) < _LEAST_STEPS:
        raise NonFiniteLossError(
            f"the loss of {hyperparameters.model.name} is not finite after {counted(len(losses), 'step')} at a "
            f"learning rate of {lowest * growth ** len(losses):.1g}: there is no rate to suggest. Look at the inputs "
            "and the loss."
        )
    return lr_sweep(lrs, losses)


def _train(
    data: FitData, hyperparameters: Hyperparameters, settings: Settings, *, lowest: float, growth: float
) -> Iterator[float]:
    """Train without an end, yielding each batch's loss before its step."""
    device = prepare_process(settings, derive_seed(hyperparameters.training.seed, data.fold))
    model = make_model(data, hyperparameters.model, device)
    objective = Objective(data, hyperparameters.loss)
    optimizer = make_optimizer(model, hyperparameters.optimizer)
    Freezing(model, hyperparameters.model).start_epoch(1)
    scaler = torch.amp.GradScaler(settings.device, enabled=settings.dtype == "float16")
    finish = Finisher(data, objective, hyperparameters.images.augment, device)
    batches = _batches(data, hyperparameters, settings, uses_images=model.uses_images)
    for step, batch in enumerate(batches):
        inputs, targets = finish(batch)
        with autocast(settings):
            output = model(*inputs)
        loss = objective.sample_losses(output, targets).mean()
        yield loss.item()
        for group in optimizer.param_groups:
            group["lr"] = lowest * growth**step * group[LR_FACTOR]
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)


def _batches(
    data: FitData, hyperparameters: Hyperparameters, settings: Settings, *, uses_images: bool
) -> Iterator[Batch]:
    """Yield the batches of one epoch after the other."""
    for epoch in itertools.count(1):
        yield from load(EpochBatches(data, hyperparameters, epoch, uses_images=uses_images), settings)
