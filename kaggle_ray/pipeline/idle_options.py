"""Hyperparameters that change nothing of some experiments, and may be the base of a space that has others, too."""

from __future__ import annotations

from collections.abc import Sequence

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.model import TABLE_MODELS
from kaggle_ray.config.part import flat_values
from kaggle_ray.types import JsonValue


def idle_of_tables(hyperparameter_sets: Sequence[Hyperparameters]) -> list[str]:
    """Return the values of what is done to images that experiments of a table alone have, as ``name=value``.

    None is told that an experiment which looks at images has, too: the base of a space may be of both.

    Args:
        hyperparameter_sets: of all experiments.
    """
    looks, alone = set[tuple[str, JsonValue]](), dict[tuple[str, JsonValue], None]()
    for each in hyperparameter_sets:
        if each.model.name in TABLE_MODELS:
            alone |= dict.fromkeys(_of_images(each))
        else:
            looks |= set(_of_images(each))
    usual = {*looks, *_of_images(Hyperparameters())}
    return [f"{name}={value}" for name, value in alone if (name, value) not in usual]


def _of_images(hyperparameters: Hyperparameters) -> list[tuple[str, JsonValue]]:
    """Return name and value of what is done to images alone: mixup mixes a table's rows, too."""
    values = {**flat_values(hyperparameters.images), "tta": hyperparameters.predict.tta}
    return [(name, value) for name, value in values.items() if name not in ("mixup", "cutmix")]
