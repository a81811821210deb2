"""Weights for each column by itself: one member may know one label best, and another one another.

Shape legend: M members, N rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.columns import columns_of
from kaggle_ray.combine.combiner import COMBINERS, FoldOf
from kaggle_ray.combine.convex import convex_weights
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import FloatArray, IntArray, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedColumns:
    """The weighted mean of the members with weights of its own in each column."""

    of_columns: Mapping[str, tuple[float, ...]]
    """Member id -> (C,) its weights; those of a column sum to 1."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Member id -> the mean of its weights."""
        return {member_id: float(np.mean(of_columns)) for member_id, of_columns in self.of_columns.items()}

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the weighted sums, computed where they are read."""
        chosen = [(members[each], np.array(of_columns)) for each, of_columns in self.of_columns.items()]

        def read(rows: IntArray) -> FloatArray:
            total = np.zeros((len(rows), *chosen[0][0].shape[1:]))
            for member, of_columns in chosen:
                total += of_columns * member[rows].astype(np.float64)
            return total.astype(np.float32)

        return LazyRows(chosen[0][0].shape, read)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the weights."""
        return {"of_columns": {member_id: list(of_columns) for member_id, of_columns in self.of_columns.items()}}


@COMBINERS.register("per_label")
class PerLabel:
    """Convex weights of each label; of classes and of numbers the same weights in all columns."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> WeightedColumns:
        """Return the weights; the members enter in the order of their ids."""
        ids = sorted(members)
        values = {member_id: members[member_id] for member_id in ids}
        num_columns = values[ids[0]].shape[1]
        if columns_of(values, target, are_shares=metric.takes_shares) == "labels" and num_columns > 1:
            truth = target[:]
            found = [
                convex_weights(
                    {each: of[:][:, [label]] for each, of in values.items()},
                    truth[:, label],
                    are_shares=metric.takes_shares,
                )
                for label in range(num_columns)
            ]
        else:
            found = [convex_weights(values, target, are_shares=metric.takes_shares)] * num_columns
        pairs = zip(ids, np.stack(found, axis=1).tolist(), strict=True)
        return WeightedColumns(of_columns={each: tuple(of_columns) for each, of_columns in pairs if any(of_columns)})

    def from_json(self, value: Mapping[str, JsonValue]) -> WeightedColumns:
        """Return the weights that ``WeightedColumns.to_json`` described."""
        return from_json(WeightedColumns, value, where="weights of an ensemble")
