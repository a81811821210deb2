"""What epochs of a run's experiments cost beside one another, told by their networks before any of them is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.types import Experiment, ModelSize, TrialResult, canonical_json

_PER_LAYER = 15e6
"""Operations that could be done in the time that a layer takes in each step beside its own: starting them, the
optimizer, the log. Fitted to steps of small networks on one core of a CPU, of 0.6 ms a layer at 25 GFLOP/s."""
_LAYERS_OF_PROBE = 10
"""Layers that take as long as what a step on kept features does, of which one is a layer."""
_BACKWARD = 3
"""Operations of a step of training, of those of its forward pass."""


def epoch_costs(
    plan: RunPlan, experiments: Sequence[Experiment], results: Sequence[TrialResult]
) -> Mapping[str, float]:
    """Return experiment id -> operations of an epoch of it, those included that its steps take beside its layers.

    They tell how long experiments take beside one another, within a factor of two, and no seconds. Where trials have
    ended before, the networks are those that their results tell of, and others have no cost: torch, which knows them,
    is not imported for a run that goes on.

    Args:
        plan: of the run.
        experiments: those that are known by now.
        results: of the trials that have ended.
    """
    given = {experiment.experiment_id: _read(experiment) for experiment in experiments}
    probes = {each for each, hyperparameters in given.items() if hyperparameters.model.frozen == "backbone"}
    others = {each: hyperparameters for each, hyperparameters in given.items() if each not in probes}
    sizes = _sizes_of(results) if results else _sizes(plan, others)
    num_rows = len(plan.samples.train_ids)
    num_steps = {each: max(1, num_rows // given[each].training.batch_size) for each in given}
    costs = {each: num_steps[each] * _LAYERS_OF_PROBE * _PER_LAYER for each in probes}
    return costs | {each: _cost(sizes[each], num_rows, num_steps[each]) for each in others if each in sizes}


def _cost(size: ModelSize, num_rows: int, num_steps: int) -> float:
    flops = 2 * size.num_parameters if size.flops is None else size.flops
    return num_steps * size.num_layers * _PER_LAYER + _BACKWARD * num_rows * flops


def _sizes_of(results: Sequence[TrialResult]) -> dict[str, ModelSize]:
    return {each.trial.experiment_id: each.model_size for each in results if each.model_size is not None}


def _sizes(plan: RunPlan, given: Mapping[str, Hyperparameters]) -> dict[str, ModelSize]:
    """Return experiment id -> the size of its network; each network is looked at once."""
    from kaggle_ray.models.summary import summarise
    from kaggle_ray.train.fold_data import shapes_of

    shapes, known, sizes = shapes_of(plan.competition, plan.samples), dict[str, ModelSize](), dict[str, ModelSize]()
    for experiment_id, hyperparameters in given.items():
        model, images = hyperparameters.model, hyperparameters.images
        sides = images.sides(images.predict_size)
        key = canonical_json([model.name, model.args, model.head, model.fuse, sides])
        if key not in known:
            known[key] = summarise(
                model.name, shapes, sides=sides, model_args=model.args, head=model.head, fuse=model.fuse
            ).size
        sizes[experiment_id] = known[key]
    return sizes


def _read(experiment: Experiment) -> Hyperparameters:
    return parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
