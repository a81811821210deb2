"""Experiments: hyperparameters with a name, and an id that is a digest of all that the results depend on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from kaggle_ray.config.hyperparameters import HYPERPARAMETER_NAMES, Hyperparameters
from kaggle_ray.types import Experiment, JsonValue, short_digest


def make_experiments(
    hyperparameter_sets: Sequence[Hyperparameters], *, competition: str, folds_digest: str
) -> tuple[Experiment, ...]:
    """Return the experiments of ``hyperparameter_sets``, named by what tells them apart."""
    dicts = [dataclasses.asdict(hyperparameters) for hyperparameters in hyperparameter_sets]
    flat = [_flatten(values) for values in dicts]
    keys = sorted({key for values in flat for key in values} - {"model"})
    varying = [key for key in keys if any(values.get(key) != flat[0].get(key) for values in flat)]
    return tuple(
        Experiment(
            experiment_id=make_experiment_id(hyperparameters, competition=competition, folds_digest=folds_digest),
            name=" ".join([str(values["model"]), *(f"{key}={known[key]}" for key in varying if key in known)]),
            hyperparameters=values,
            parent_id=None
            if hyperparameters.parent is None
            else make_experiment_id(hyperparameters.parent, competition=competition, folds_digest=folds_digest),
            teacher_id=None
            if hyperparameters.teacher is None
            else make_experiment_id(hyperparameters.teacher, competition=competition, folds_digest=folds_digest),
        )
        for hyperparameters, values, known in zip(hyperparameter_sets, dicts, flat, strict=True)
    )


def make_experiment_id(hyperparameters: Hyperparameters, *, competition: str, folds_digest: str) -> str:
    """Return 12 hex digits of sha256 over the canonical JSON of competition, hyperparameters and folds."""
    values = dataclasses.asdict(hyperparameters)
    return short_digest({"competition": competition, "hyperparameters": values, "folds": folds_digest})


def _flatten(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return hyperparameters with the model's arguments among them; one of a hyperparameter's name gets a prefix."""
    arguments = values["model_args"].items()
    named = {f"model_args.{name}" if name in HYPERPARAMETER_NAMES else name: value for name, value in arguments}
    return {**{name: value for name, value in values.items() if name != "model_args"}, **named}
