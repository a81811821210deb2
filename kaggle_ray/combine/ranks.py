"""The mean of ranks, on a scale that is learnt from some rows, so that a row's rank depends on this row alone.

Shape legend: N rows, C columns of a prediction, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.combiner import COMBINERS, FoldOf
from kaggle_ray.combine.means import equal_shares
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue

_NUM_QUANTILES = 257


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanOfRanks:
    """The equal mean of the members' ranks among the rows that it was fitted on; a single member is left as it is."""

    weights: Mapping[str, float]
    """Member id -> its weight, above 0; the weights sum to 1."""
    quantiles: Mapping[str, tuple[tuple[float, ...], ...]]
    """Member id -> (C, Q) values at even ranks from 0 to 1, of each column."""

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the mean ranks, 0 to 1, computed where they are read."""
        chosen = [(members[member_id], weight, member_id) for member_id, weight in self.weights.items()]
        if len(chosen) == 1:
            return chosen[0][0]

        def read(rows: IntArray) -> FloatArray:
            total = np.zeros((len(rows), *chosen[0][0].shape[1:]))
            for member, weight, member_id in chosen:
                for column, values in enumerate(member[rows].T):
                    total[:, column] += weight * ranks_of(values, np.array(self.quantiles[member_id][column]))
            return total.astype(np.float32)

        return LazyRows(chosen[0][0].shape, read)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the weights and the quantiles."""
        quantiles: dict[str, JsonValue] = {
            member_id: [list(of_column) for of_column in of_columns] for member_id, of_columns in self.quantiles.items()
        }
        return {"weights": dict(self.weights), "quantiles": quantiles}


def ranks_of(values_N: FloatArray, quantiles: Float64Array) -> Float64Array:
    """Return (N,) the ranks, 0 to 1, of values among those with the given quantiles; the middle one of equal ones."""
    ranks = np.linspace(0, 1, len(quantiles))
    knots, first, counts = np.unique(quantiles, return_index=True, return_counts=True)
    return np.asarray(np.interp(values_N, knots, (ranks[first] + ranks[first + counts - 1]) / 2))


@COMBINERS.register("rank")
class Rank:
    """The mean of ranks: for metrics of the order alone, such as AUC, of members that are not on one scale."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> MeanOfRanks:
        """Return the mean of all members' ranks."""
        at = np.linspace(0, 1, _NUM_QUANTILES)
        quantiles = {each: np.quantile(members[each][:].astype(np.float64), at, axis=0).T for each in sorted(members)}
        return MeanOfRanks(
            weights=equal_shares(members),
            quantiles={each: tuple(tuple(of_column) for of_column in of.tolist()) for each, of in quantiles.items()},
        )

    def from_json(self, value: Mapping[str, JsonValue]) -> MeanOfRanks:
        """Return what ``MeanOfRanks.to_json`` described."""
        return from_json(MeanOfRanks, value, where="ranks of an ensemble")
