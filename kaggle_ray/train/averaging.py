"""The mean of several weights of one network, with the statistics that normalisation takes of its own activations.

What batch normalisation has counted belongs to the weights that it was counted under, and the mean of several counts
to none: it is counted anew, over an epoch's batches.

Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from kaggle_ray.config.settings import Settings
from kaggle_ray.metrics import Metric
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.epoch_selection import ChosenEpoch
from kaggle_ray.train.loading import load
from kaggle_ray.train.on_device import Finisher
from kaggle_ray.train.process import autocast, seed_step

Weights = Mapping[str, Tensor]


def mean_of_weights(weights: Sequence[Weights]) -> dict[str, Tensor]:
    """Return the mean of each tensor, computed in float64; what is the same in all stays so, to the last bit.

    Args:
        weights: of one architecture, with the same names and shapes; whole numbers, such as counts, are the first's.
    """
    first = weights[0]
    return {name: _mean([each[name] for each in weights]) for name in first}


def load_mean(model: nn.Module, weights: Sequence[Weights]) -> list[_NormBase]:
    """Give ``model`` the mean of ``weights``; return the layers whose statistics differ among them."""
    mean = mean_of_weights(weights)
    model.load_state_dict(mean)
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, _NormBase)
        and module.running_mean is not None
        and not all(
            torch.equal(each[key], weights[0][key])
            for key in (f"{name}.running_mean", f"{name}.running_var")
            for each in weights[1:]
        )
    ]


def load_best(
    model: nn.Module,
    best: Sequence[ChosenEpoch],
    measured_anew: Callable[[Sequence[_NormBase], int], float],
    metric: Metric,
) -> tuple[int, ...]:
    """Let the mean of the best epochs predict, or the best alone where it scores better; return the mean's epochs.

    Args:
        model: that predicts.
        best: the best first.
        measured_anew: lets layers count anew as an epoch trains them, and returns the score that epochs are chosen by.
        metric: of the score.
    """
    first = best[0]
    if len(best) > 1:
        norms = load_mean(model, [each.weights for each in best])
        if not metric.is_better(first.score, measured_anew(norms, first.epoch)):
            return tuple(each.epoch for each in best)
    model.load_state_dict(first.weights)
    return ()


def count_anew(
    model: nn.Module, norms: Sequence[_NormBase], batches: EpochBatches, finish: Finisher, settings: Settings
) -> None:
    """Let ``norms`` of ``model`` take their statistics of all batches, each of which counts alike.

    All else computes as it predicts: nothing is dropped, and no other layer counts. Every process of a trial does the
    same, for all batches, so that their number changes nothing.
    """
    if not norms:
        return
    device = torch.device(settings.device)
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with closing(load(batches, settings)) as pieces:
        for batch in pieces:
            seed_step(device, batch.seed)
            inputs, _ = finish(batch)
            with torch.no_grad(), autocast(settings):
                model(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    if not first.is_floating_point() or all(torch.equal(first, other) for other in tensors[1:]):
        return first
    return torch.stack([tensor.double() for tensor in tensors]).mean(dim=0).to(first.dtype)
