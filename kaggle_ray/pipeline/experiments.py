"""Experiments: hyperparameters with an id, and with a name that tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kaggle_ray.config import HYPERPARAMETER_NAMES, Hyperparameters
from kaggle_ray.pipeline.identity import experiment_id, training_id
from kaggle_ray.train.content import Content
from kaggle_ray.types import Experiment, JsonValue


def make_experiments(hyperparameter_sets: Sequence[Hyperparameters], content: Content) -> tuple[Experiment, ...]:
    """Return the experiments of ``hyperparameter_sets`` on ``content``, named by what tells them apart."""
    dicts = [hyperparameters.to_dict() for hyperparameters in hyperparameter_sets]
    flat = [_flatten(hyperparameters) for hyperparameters in hyperparameter_sets]
    keys = sorted({key for values in flat for key in values} - {"model"})
    varying = [key for key in keys if any(values.get(key) != flat[0].get(key) for values in flat)]
    return tuple(
        Experiment(
            experiment_id=experiment_id(hyperparameters, content),
            name=" ".join([str(values["model"]), *(f"{key}={known[key]}" for key in varying if key in known)]),
            hyperparameters=values,
            parent_id=_id_of(hyperparameters.parent, content),
            teacher_id=_id_of(hyperparameters.teacher, content),
            weights_of=weights_of,
        )
        for hyperparameters, values, known, weights_of in zip(
            hyperparameter_sets, dicts, flat, _trained_by(hyperparameter_sets, content), strict=True
        )
    )


def _trained_by(hyperparameter_sets: Sequence[Hyperparameters], content: Content) -> Iterator[str | None]:
    """Yield for each experiment the id of the first that is trained just as it is, None for the first itself."""
    first: dict[str, str] = {}
    for hyperparameters in hyperparameter_sets:
        trained = training_id(hyperparameters, content)
        yield first.get(trained)
        first.setdefault(trained, experiment_id(hyperparameters, content))


def _id_of(hyperparameters: Hyperparameters | None, content: Content) -> str | None:
    return None if hyperparameters is None else experiment_id(hyperparameters, content)


def _flatten(hyperparameters: Hyperparameters) -> dict[str, JsonValue]:
    """Return hyperparameters with the model's arguments among them; one of a hyperparameter's name gets a prefix."""
    values, arguments = hyperparameters.to_dict(), hyperparameters.model.args.items()
    named = {f"model_args.{name}" if name in HYPERPARAMETER_NAMES else name: value for name, value in arguments}
    return {**{name: value for name, value in values.items() if name != "model_args"}, **named}
