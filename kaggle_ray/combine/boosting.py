"""Stacking by gradient boosting: trees over what the members predict out of fold, and over the table's columns.

A tree asks where a member is to be believed: of which images, told by the numbers that come with them. It has more
parameters than a linear model has, so that the trees are few, shallow and regularized.

Shape legend: N rows, C columns of a prediction, D columns of the table, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kaggle_ray.combine.columns import Columns, columns_of
from kaggle_ray.combine.combiner import COMBINERS, TABLE, FoldOf
from kaggle_ray.combine.stacking import NEVER, from_sums
from kaggle_ray.combine.trees import Trees, boosted_trees
from kaggle_ray.counted import counted
from kaggle_ray.errors import DataError, JsonShapeError
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue, Target

_MOST_ROWS = 4096
"""Rows that are taken through the trees at once."""
_LEAST_SHARE = 1e-9
"""Share of a member that no tree asks for: all members are features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Boosted:
    """Sums of trees, taken to probabilities where the columns are of such."""

    weights: Mapping[str, float]
    """Member id -> its share of what the trees gained by asking for members; in the order of their features."""
    columns: Columns
    """What the columns are; of numbers the sum is the answer."""
    num_table_columns: int
    """D, 0 without a table."""
    of_columns: tuple[Trees, ...] = field(default=())
    """(C,) trees of each column; none where a single member is left as it is."""

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the trees' answers, computed where they are read.

        Raises:
            DataError: the table that they were fitted with is missing, or has other columns.
        """
        chosen = [members[member_id] for member_id in self.weights]
        if not self.of_columns:
            return chosen[0]
        if self.num_table_columns:
            chosen.append(_table_of(members, self.num_table_columns))

        def read(rows: IntArray) -> FloatArray:
            blocks = [rows[start : start + _MOST_ROWS] for start in range(0, len(rows), _MOST_ROWS)]
            found = [self._predict([each[block] for each in chosen]) for block in blocks]
            return np.concatenate(found) if found else np.zeros((0, len(self.of_columns)), dtype=np.float32)

        return LazyRows(chosen[0].shape, read)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the nodes of all trees."""
        return {
            "member_ids": list(self.weights),
            "shares": list(self.weights.values()),
            "columns": self.columns,
            "num_table_columns": self.num_table_columns,
            "of_columns": [trees.to_json() for trees in self.of_columns],
        }

    def _predict(self, parts: Sequence[FloatArray]) -> FloatArray:
        features_NF = _features(parts, len(self.weights))
        sums_NC = np.stack([trees.sums(features_NF) for trees in self.of_columns], axis=1)
        return from_sums(sums_NC, self.columns).astype(np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """``Boosted`` as JSON, which keeps no order of an object's names."""

    member_ids: tuple[str, ...]
    shares: tuple[float, ...]
    columns: Columns
    num_table_columns: int
    of_columns: tuple[Trees, ...]


@COMBINERS.register("boosting")
class Boosting:
    """Gradient boosting on the members' predictions, their mean and the table's columns, if there is a table."""

    takes_table = True

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Boosted:
        """Return the trees; the members enter in the order of their ids, after them the table's columns.

        Raises:
            DataError: the members predict masks, soft targets, or numbers where the target is of classes.
        """
        ids = sorted(members.keys() - {TABLE})
        of_members = {each: members[each] for each in ids}
        columns = columns_to_boost(of_members, target, metric)
        table = [members[TABLE]] if TABLE in members else []
        if len(ids) == 1 and not table:
            return Boosted(weights={ids[0]: 1.0}, columns=columns, num_table_columns=0)
        features_NF = _features([each[:] for each in (*of_members.values(), *table)], len(ids))
        num_columns = of_members[ids[0]].shape[1]
        found = _fitted(features_NF, target[:], columns, num_columns)
        gains = np.sum([gains for _, gains in found], axis=0)[: num_columns * (len(ids) + 1)]
        of_each = gains.reshape(len(ids) + 1, num_columns).sum(axis=1)  # what their mean gained is shared by all
        shares = of_each[:-1] + of_each[-1] / len(ids)
        shares = shares + _LEAST_SHARE * max(1.0, shares.sum())
        return Boosted(
            weights=dict(zip(ids, (shares / shares.sum()).tolist(), strict=True)),
            columns=columns,
            num_table_columns=table[0].shape[1] if table else 0,
            of_columns=tuple(trees for trees, _ in found),
        )

    def from_json(self, value: Mapping[str, JsonValue]) -> Boosted:
        """Return what ``Boosted.to_json`` described. Raises JsonShapeError where they are no trees."""
        where = "boosting of an ensemble"
        kept = from_json(_Kept, value, where=where)
        if not kept.member_ids or len(kept.member_ids) != len(kept.shares):
            raise JsonShapeError(f"{where}: expected a share for each of at least one member, got {len(kept.shares)}.")
        num_features = (len(kept.member_ids) + 1) * len(kept.of_columns) + kept.num_table_columns
        for trees in kept.of_columns:
            trees.check(num_features, where=where)
        return Boosted(
            weights=dict(zip(kept.member_ids, kept.shares, strict=True)),
            columns=kept.columns,
            num_table_columns=kept.num_table_columns,
            of_columns=kept.of_columns,
        )


def columns_to_boost(members: Mapping[str, Rows], target: Rows, metric: Metric) -> Columns:
    """Return what the columns are. Raises DataError where trees would not make sense of them."""
    num_columns, num_targets = next(iter(members.values())).shape[1], target.shape[1] if len(target.shape) == 2 else 1
    if metric.mean_over_rows:
        raise DataError("ensemble 'boosting': expected classes, labels or numbers, got masks. Name another, or auto.")
    if metric.takes_shares:
        raise DataError("ensemble 'boosting': expected classes or labels, got soft targets. Name logistic, or auto.")
    columns = columns_of(members, target)
    if columns == "numbers" and (num_columns != num_targets or np.isin(target[:], (0, 1)).all()):
        raise DataError(
            "ensemble 'boosting': expected probabilities of classes or labels, or numbers for a target of as many, got "
            "numbers such as ranks or log odds, or heads of several kinds. Name another, or auto."
        )
    return columns


def _table_of(members: Mapping[str, Rows], num_columns: int) -> Rows:
    table = members.get(TABLE)
    if table is None or table.shape[1] != num_columns:
        got = "none" if table is None else counted(table.shape[1], "column")
        raise DataError(
            f"ensemble 'boosting': expected the table of {counted(num_columns, 'column')} that it was fitted with, "
            f"got {got}. Pass it: test_table= of kaggle_ray.ensemble, table= of predict_proba; kaggle-ray predict "
            "reads it."
        )
    return table


def _features(parts: Sequence[FloatArray], num_members: int) -> Float64Array:
    """Return (N, F) the members' columns side by side, their mean, and the columns of the table, if there is one.

    Trees come to a mean by many steps only, and it is what most answers are about.
    """
    of_members = [part.astype(np.float64) for part in parts[:num_members]]
    return np.concatenate([*of_members, np.mean(of_members, axis=0), *parts[num_members:]], axis=1)


def _fitted(
    features_NF: Float64Array, truth: Target, columns: Columns, num_columns: int
) -> list[tuple[Trees, Float64Array]]:
    """Return for each column its trees, and (F,) what they gained by each feature."""
    num_features = features_NF.shape[1]
    if columns != "classes":
        return [_of_column(features_NF, of_column, columns) for of_column in truth.reshape(len(truth), num_columns).T]
    present = np.unique(truth).astype(np.int64)
    never = Trees(base=NEVER), np.zeros(num_features)
    found = [never] * num_columns
    if len(present) == 1:
        found[present[0]] = Trees(base=0.0), np.zeros(num_features)
    else:
        of_present = boosted_trees("HistGradientBoostingClassifier", features_NF, truth)
        if len(present) == 2:  # one sum stands for both classes, of which the second is the positive one
            ((trees, gains),) = of_present
            of_present = [(trees.times(-0.5), gains / 2), (trees.times(0.5), gains / 2)]
        for number, each in zip(present.tolist(), of_present, strict=True):
            found[number] = each
    return found


def _of_column(features_NF: Float64Array, truth: Target, columns: Columns) -> tuple[Trees, Float64Array]:
    """Return the trees of one label or number; those of a label of all rows, or of none, are constant."""
    if columns == "numbers":
        return boosted_trees("HistGradientBoostingRegressor", features_NF, truth)[0]
    if len(np.unique(truth)) < 2:
        return Trees(base=-NEVER if truth[0] else NEVER), np.zeros(features_NF.shape[1])
    return boosted_trees("HistGradientBoostingClassifier", features_NF, truth)[0]
