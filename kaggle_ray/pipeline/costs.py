"""What a run's epochs, and the features that they take, cost beside one another, before any of them is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.types import Experiment, ModelSize, TrialResult

_PER_LAYER = 15e6
"""Operations that could be done in the time that a layer takes in each step beside its own: starting them, the
optimizer, the log. Fitted to steps of small networks on one core of a CPU, of 0.6 ms a layer at 25 GFLOP/s."""
_LAYERS_OF_FEATURES = 9
"""Layers that take as long as what a step on kept features does beside those that it trains."""
_BACKWARD = 3
"""Operations of a step of training, of those of its forward pass."""
_NUM_AT_ONCE = 32
"""Images of which features are computed at once."""
_UNKNOWN_PROBE = ModelSize(num_parameters=0, num_layers=1, flops=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Operations, those included that could be done in the time that is taken beside them."""

    epochs: Mapping[str, float]
    """Experiment id -> those of an epoch of it."""
    features: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    """Experiment id -> of each of its first epochs: name of a set of features that is taken from then on -> those of
    computing the set, which is done once for all that name it."""


def costs_of(plan: RunPlan, experiments: Sequence[Experiment], results: Sequence[TrialResult]) -> Costs:
    """Return what a run's experiments cost.

    They tell how long experiments take beside one another, within a factor of two, and no seconds. Where trials have
    ended before, the networks are those that their results tell of, and their features are there; others have no cost,
    as torch, which knows them, is not imported for a run that goes on.

    Args:
        plan: of the run.
        experiments: those that are known by now.
        results: of the trials that have ended.
    """
    given = {each.experiment_id: parse_hyperparameters(each.hyperparameters, where=each.name) for each in experiments}
    num_rows = len(plan.samples.train_ids)
    if not results:
        trained = {each.experiment_id for each in experiments if each.weights_of is None and not each.soup_ids}
        return _costs_of_networks(plan, {each: found for each, found in given.items() if each in trained})
    sizes = {each: _UNKNOWN_PROBE for each, found in given.items() if found.model.frozen == "backbone"}
    sizes |= {each.trial.experiment_id: each.model_size for each in results if each.model_size is not None}
    return Costs(
        epochs={
            each: _of_epoch(found, sizes[each], num_rows, sees_images=not found.model.keeps_features)
            for each, found in given.items()
            if each in sizes
        }
    )


def _costs_of_networks(plan: RunPlan, given: Mapping[str, Hyperparameters]) -> Costs:
    from kaggle_ray.train.feature_sets import sets_of_epochs, trains_on_features
    from kaggle_ray.train.model_sizes import ModelSizes

    sizes, num_rows = ModelSizes(plan.competition, plan.samples), len(plan.samples.train_ids)
    epochs: dict[str, float] = {}
    features: dict[str, Sequence[Mapping[str, float]]] = {}
    for experiment_id, hyperparameters in given.items():
        size = sizes.of(hyperparameters)
        sees_images = not trains_on_features(hyperparameters)
        epochs[experiment_id] = _of_epoch(hyperparameters, size, num_rows, sees_images=sees_images)
        if sets := sets_of_epochs(hyperparameters, plan.samples):
            features[experiment_id] = [
                {name: _of_frozen(size, num_images, _NUM_AT_ONCE) for name, num_images in of_epoch.items()}
                for of_epoch in sets
            ]
    return Costs(epochs=epochs, features=features)


def _of_epoch(given: Hyperparameters, size: ModelSize, num_rows: int, *, sees_images: bool) -> float:
    """Return what an epoch costs, in which what stands still is computed anew where it ``sees_images``."""
    batch_size = given.training.batch_size
    layers = size.num_layers - size.num_layers_frozen + (0 if sees_images else _LAYERS_OF_FEATURES)
    flops = 2 * size.num_parameters if size.flops is None else size.flops
    of_steps = max(1, num_rows // batch_size) * layers * _PER_LAYER + _BACKWARD * num_rows * (flops - size.flops_frozen)
    return of_steps + (_of_frozen(size, num_rows, batch_size) if sees_images else 0.0)


def _of_frozen(size: ModelSize, num_images: int, batch_size: int) -> float:
    """Return what the forward passes of images through what stands still cost."""
    return (
        num_images * size.flops_frozen
        + math.ceil(num_images / batch_size) * size.num_layers_frozen * _PER_LAYER / _BACKWARD
    )
