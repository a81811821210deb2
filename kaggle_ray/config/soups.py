"""What experiments the mean of whose weights is to predict have to share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kaggle_ray.config.model import Soup
from kaggle_ray.config.part import flat_values, require

if TYPE_CHECKING:
    from kaggle_ray.config.hyperparameters import Hyperparameters

_SHARED = ("model", "model_args", "head", "fuse", "image_size", "aspect", "tile")
"""Hyperparameters of which network it is, and of which images it takes."""
_OF_INNER = ("epoch_rule", "inner_share", "seed")
"""Hyperparameters of which rows an inner split holds out."""


def check_soup(souped: Sequence[Hyperparameters], soup: Soup) -> None:
    """Raise ConfigError where the weights of experiments have no mean, or no rows to choose it by.

    Args:
        souped: the experiments, each once.
        soup: how those are found whose weights are averaged.
    """
    require(len(souped) > 1, "soup_of", "at least two experiments that differ", len(souped))
    first = souped[0].to_dict()
    for number, each in enumerate(souped):
        where = f"soup_of[{number}]"
        values = each.to_dict()
        for name in _SHARED:
            require(values[name] == first[name], where, f"the {name} of the others, {first[name]!r}", values[name])
        require(not each.model.soup_of, where, "an experiment that is trained", "a soup")
        rule = each.training.epoch_rule
        require(rule != "other_folds", where, "an epoch_rule by which a fold's own weights predict", rule)
        if soup == "greedy":
            require(
                each.training.inner_split is not None and each.training.inner_split == souped[0].training.inner_split,
                where,
                "epoch_rule inner, with the inner_share and the seed of the others: a greedy soup is chosen by rows "
                "that none of them was trained on (soup uniform chooses nothing)",
                {name: value for name, value in flat_values(each.training).items() if name in _OF_INNER},
            )
