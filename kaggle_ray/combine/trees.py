"""Gradient-boosted trees as plain numbers: learnt by scikit-learn, kept as JSON, and computed here.

What is kept needs neither scikit-learn nor a pickle of someone else's.

Shape legend: N rows, F features, T trees.

Source: Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29, 2001; of
histograms, Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.errors import JsonShapeError
from kaggle_ray.types import Float64Array, JsonValue, Target

_SETTINGS: Mapping[str, Any] = {
    "max_iter": 100,
    "learning_rate": 0.05,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "early_stopping": False,  # nothing is chosen by rows that it would have to be fitted without
    "random_state": 0,  # of the rows that bins are made of, where there are more than 200,000
}
_LARGEST = 1e308
"""Cut in the place of an infinite one, which parts missing values from all others: JSON has no infinity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trees:
    """A sum of regression trees: the nodes of all of them one after the other, each before those below it."""

    base: float
    """Where the sum begins."""
    roots: tuple[int, ...] = ()
    """(T,) number of the first node of each tree."""
    feature: tuple[int, ...] = ()
    """Feature that a node asks for; -1 of a leaf."""
    cut: tuple[float, ...] = ()
    """Rows whose feature is at most this go left."""
    missing_left: tuple[bool, ...] = ()
    """Whether rows whose feature is missing go left."""
    left: tuple[int, ...] = ()
    """Number of the node on the left; 0 of a leaf."""
    right: tuple[int, ...] = ()
    value: tuple[float, ...] = ()
    """What a leaf adds; 0 of all other nodes."""

    def sums(self, features_NF: Float64Array) -> Float64Array:
        """Return (N,) each row's sum over the trees, which depends on this row alone."""
        if not self.roots:
            return np.full(len(features_NF), self.base)
        feature, cut, missing_left = np.array(self.feature), np.array(self.cut), np.array(self.missing_left)
        left, right, value = np.array(self.left), np.array(self.right), np.array(self.value)
        rows, nodes_NT = np.arange(len(features_NF))[:, np.newaxis], np.tile(self.roots, (len(features_NF), 1))
        while (is_inner := feature[nodes_NT] >= 0).any():
            asked_NT = features_NF[rows, feature[nodes_NT]]  # of a leaf the last feature, which is not looked at
            goes_left = np.where(np.isnan(asked_NT), missing_left[nodes_NT], asked_NT <= cut[nodes_NT])
            nodes_NT = np.where(is_inner, np.where(goes_left, left[nodes_NT], right[nodes_NT]), nodes_NT)
        return np.asarray(self.base + value[nodes_NT].sum(axis=1))

    def check(self, num_features: int, *, where: str) -> None:
        """Raise JsonShapeError where a row would not come to a leaf of the tree that it began in."""
        lengths = {len(getattr(self, each.name)) for each in fields(self) if each.name not in ("base", "roots")}
        numbers = np.arange(len(self.feature))
        is_inner = np.array(self.feature, dtype=np.int64) >= 0
        is_sound = len(lengths) == 1 and all(-1 <= each < num_features for each in self.feature)
        is_sound = is_sound and all(0 <= root < len(numbers) for root in self.roots)
        for below in (self.left, self.right) if is_sound else ():
            is_sound = is_sound and all(number < each < len(numbers) for number, each in zip(
                numbers[is_inner].tolist(), np.array(below, dtype=np.int64)[is_inner].tolist(), strict=True
            ))  # fmt: skip
        if not is_sound:
            raise JsonShapeError(
                f"{where}: expected trees over {counted(num_features, 'feature')}, each node before those below."
            )

    def to_json(self) -> dict[str, JsonValue]:
        """Return the fields, lists in the place of tuples."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def times(self, factor: float) -> Trees:
        """Return the trees whose sum is so many times this one."""
        return replace(self, base=factor * self.base, value=tuple(factor * each for each in self.value))


def boosted_trees(kind: str, features_NF: Float64Array, truth: Target) -> list[tuple[Trees, Float64Array]]:
    """Return each sum of trees that scikit-learn learns, and (F,) what it gained by each feature."""
    import sklearn.ensemble  # takes seconds, and every trial imports this module
    from threadpoolctl import threadpool_limits  # which scikit-learn needs, too

    model = getattr(sklearn.ensemble, kind)(**_SETTINGS)
    with threadpool_limits(1, user_api="openmp"):  # its threads wait for each other longer than they compute
        model.fit(features_NF, truth)
    of_sums = zip(*model._predictors, strict=True)
    bases = np.ravel(model._baseline_prediction).tolist()
    return [
        _trees([tree.nodes for tree in trees], base, features_NF.shape[1])
        for trees, base in zip(of_sums, bases, strict=True)
    ]


def _trees(of_trees: Sequence[Any], base: float, num_features: int) -> tuple[Trees, Float64Array]:
    """Return trees that are given as scikit-learn's tables of nodes, and (F,) what they gained by each feature."""
    starts = np.cumsum([0, *map(len, of_trees)])[:-1]
    nodes = np.concatenate(of_trees)
    start_of = np.repeat(starts, [len(each) for each in of_trees])
    is_leaf = nodes["is_leaf"].astype(np.bool_)
    gains = np.bincount(nodes["feature_idx"][~is_leaf], weights=nodes["gain"][~is_leaf], minlength=num_features).astype(
        np.float64
    )
    trees = Trees(
        base=base,
        roots=tuple(starts.tolist()),
        feature=tuple(np.where(is_leaf, -1, nodes["feature_idx"]).tolist()),
        cut=tuple(np.where(is_leaf, 0.0, np.minimum(nodes["num_threshold"], _LARGEST)).tolist()),
        missing_left=tuple((nodes["missing_go_to_left"].astype(np.bool_) & ~is_leaf).tolist()),
        left=tuple(np.where(is_leaf, 0, nodes["left"] + start_of).tolist()),
        right=tuple(np.where(is_leaf, 0, nodes["right"] + start_of).tolist()),
        value=tuple(np.where(is_leaf, nodes["value"], 0.0).tolist()),
    )
    return trees, gains
