"""How long the trials of a plan are expected to take: each kind of trial is timed once."""

from __future__ import annotations

from dataclasses import replace

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.cpus import num_cpus
from kaggle_ray.pipeline.busy_cores import cores_at_work
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.train.estimate import Estimate, estimate
from kaggle_ray.train.keep import epochs_kept_of
from kaggle_ray.types import JsonValue

_TAKE_NO_TIME: dict[str, JsonValue] = {
    name: value
    for name, value in Hyperparameters().to_dict().items()
    if name
    in ("lr", "weight_decay", "momentum", "beta2", "layer_decay", "warmup", "label_smoothing", "seed", "temperature",
        "distill_weight", "distill_out_of_fold", "trust_weights", "keep_epochs", "average_best")
}  # fmt: skip
"""Hyperparameters whose value does not change how long a step takes -> their default."""


def estimates_of(plan: RunPlan) -> dict[str, Estimate]:
    """Return experiment id -> the estimated times of its trials; none where it predicts with others' weights.

    Experiments that differ in what takes no time, such as ``lr``, are timed once: a space of thousands takes no longer
    than its networks and sizes do. Trials that run at once share caches, memory and often cores: on a CPU the other
    slots are kept at work meanwhile.
    """
    at_once = 1 if plan.options.launcher == "local" else plan.num_slots * plan.settings.world_size
    with cores_at_work(min(at_once, num_cpus()) - 1 if plan.settings.device == "cpu" else 0):
        return _estimates_of(plan)


def _estimates_of(plan: RunPlan) -> dict[str, Estimate]:
    timed: list[tuple[Hyperparameters, Estimate]] = []
    estimates: dict[str, Estimate] = {}
    for experiment in plan.examples:
        if experiment.weights_of is not None or experiment.soup_ids:
            weights_of = estimates[experiment.needs[0]]
            estimates[experiment.experiment_id] = Estimate(
                weights_bytes=weights_of.weights_bytes, num_weights=weights_of.num_weights
            )
            continue
        hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        timed_as = hyperparameters.replace(**_TAKE_NO_TIME)
        known = next((found for alike, found in timed if alike == timed_as), None)
        if known is None:
            known = estimate(plan.competition, plan.samples, timed_as, plan.settings)
            timed.append((timed_as, known))
        num_weights = 1 + len(epochs_kept_of(hyperparameters))
        estimates[experiment.experiment_id] = replace(known, num_weights=num_weights)
    return estimates
