"""Stacking: a small model that is fitted on what the members predict out of fold.

A row's members were trained on rows whose own predictions the stacker is fitted on: a path of the second order, which a
model of few parameters cannot make use of. Those here are linear and regularized; trees are in ``boosting``.

Shape legend: M members, N rows, C columns of a prediction, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.columns import Columns, probabilities_of
from kaggle_ray.combine.combiner import COMBINERS, FoldOf
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, JsonValue, Target

_LEAST_PROBABILITY = 1e-6
_INVERSE_STRENGTH = 1.0
"""Inverse strength of the penalty of logistic regression, on features of standard deviation 1."""
NEVER = -50.0
"""Log odds of a class that no row has."""
_RIDGE_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    """A linear model of the members' columns, taken to probabilities where it is of such."""

    member_ids: tuple[str, ...]
    """M members, in the order of their features."""
    columns: Columns
    """What the columns are; of numbers the sum is the answer."""
    coefficients: tuple[tuple[float, ...], ...]
    """(C, F) one row for each column; none where a single member is left as it is."""
    intercepts: tuple[float, ...]
    """(C,) one for each column."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Member id -> its share of the absolute coefficients, at least a billionth: each member is needed."""
        if not self.coefficients:
            return dict.fromkeys(self.member_ids, 1.0)
        of_members = np.abs(self.coefficients).sum(axis=0).reshape(len(self.member_ids), -1).sum(axis=1) + 1e-9
        return dict(zip(self.member_ids, (of_members / of_members.sum()).tolist(), strict=True))

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the model's predictions, computed where they are read."""
        chosen = [members[member_id] for member_id in self.member_ids]
        return LazyRows(chosen[0].shape, lambda rows: self._predict([member[rows] for member in chosen]))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the coefficients."""
        return {
            "member_ids": list(self.member_ids),
            "columns": self.columns,
            "coefficients": [list(row) for row in self.coefficients],
            "intercepts": list(self.intercepts),
        }

    def _predict(self, parts: Sequence[FloatArray]) -> FloatArray:
        if not self.coefficients:
            return parts[0]
        # A sum over rows of one length, so that a row's prediction does not depend on which others are read with it.
        features = features_of(parts, self.columns)
        sums = (features[:, np.newaxis, :] * np.array(self.coefficients)).sum(axis=2) + np.array(self.intercepts)
        return from_sums(sums, self.columns).astype(np.float32)


def features_of(parts: Sequence[FloatArray], columns: Columns) -> Float64Array:
    """Return (N, F) the columns of all members side by side: log odds of probabilities, numbers as they are."""
    values = np.concatenate(parts, axis=1).astype(np.float64)
    if columns == "numbers":
        return values
    clipped = np.clip(values, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def from_sums(sums_NC: Float64Array, columns: Columns) -> Float64Array:
    """Return (N, C) probabilities of classes or labels of sums that are their logarithms or log odds; or numbers."""
    if columns == "numbers":
        return sums_NC
    if columns == "labels":
        return np.asarray(1 / (1 + np.exp(-sums_NC)))
    powers = np.exp(sums_NC - sums_NC.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class _Linear:
    """Combiners that return a ``Linear``."""

    def from_json(self, value: Mapping[str, JsonValue]) -> Linear:
        """Return what ``Linear.to_json`` described."""
        return from_json(Linear, value, where="stacking of an ensemble")


@COMBINERS.register("logistic")
class Logistic(_Linear):
    """Logistic regression on the members' log odds: one of all classes, or one for each label."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Linear:
        """Return the regression; the members enter in the order of their ids.

        Raises:
            DataError: the members are no probabilities.
        """
        ids = sorted(members)
        columns = probabilities_of(members, target, method="logistic", are_shares=metric.takes_shares)
        if len(ids) == 1:
            return Linear(member_ids=tuple(ids), columns=columns, coefficients=(), intercepts=())
        features, truth = features_of([members[each][:] for each in ids], columns), target[:]
        num_columns = features.shape[1] // len(ids)
        if columns == "classes":
            shares = truth if metric.takes_shares else None
            found = [_classes(features, truth if shares is None else shares.argmax(axis=1), num_columns, shares)]
        else:
            found = [_label(features, of_label) for of_label in truth.reshape(len(truth), -1).T]
        coefficients = np.concatenate([each for each, _ in found])
        intercepts = np.concatenate([each for _, each in found])
        return _linear(ids, columns, coefficients, intercepts)


@COMBINERS.register("ridge")
class Ridge(_Linear):
    """Ridge regression on the members' numbers, its strength chosen by leaving rows out one at a time."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Linear:
        """Return the regression; the members enter in the order of their ids.

        Raises:
            DataError: the target has not a number for each column.
        """
        from sklearn.linear_model import RidgeCV  # as for logistic regression

        ids = sorted(members)
        if len(ids) == 1:
            return Linear(member_ids=tuple(ids), columns="numbers", coefficients=(), intercepts=())
        features = features_of([members[each][:] for each in ids], "numbers")
        truth = target[:].reshape(len(features), -1).astype(np.float64)
        if truth.shape[1] * len(ids) != features.shape[1]:  # of classes: 1 for the class that it is
            truth = (truth == np.arange(features.shape[1] // len(ids))).astype(np.float64)
        mean, scale = _standard(features)
        model = RidgeCV(alphas=_RIDGE_STRENGTHS).fit((features - mean) / scale, truth)
        return _linear(
            ids, "numbers", *_unscaled(np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_), mean, scale)
        )


def _classes(
    features: Float64Array, truth: Target, num_classes: int, shares: Target | None = None
) -> tuple[Float64Array, Float64Array]:
    """Return (C, F) and (C,) a regression of all classes; one without a row is never the answer.

    A row with ``shares`` (N, C) is one of each class, of the weight that this class has in it.
    """
    weights: Target | None = None
    if shares is not None:
        rows, truth = np.nonzero(shares)
        features, weights = features[rows], shares[rows, truth]
    present = np.unique(truth).astype(np.int64)
    coefficients, intercepts = np.zeros((num_classes, features.shape[1])), np.full(num_classes, NEVER)
    found, offsets = _regression(features, truth, weights)
    if len(present) == 2:  # one row stands for both classes, of which the second is the positive one
        found, offsets = np.concatenate([-found, found]) / 2, np.concatenate([-offsets, offsets]) / 2
    coefficients[present], intercepts[present] = found, offsets
    return coefficients, intercepts


def _label(features: Float64Array, truth: Target) -> tuple[Float64Array, Float64Array]:
    """Return (1, F) and (1,) the regression of one label; that of a label of all rows, or of none, is constant.

    A row with a share of the label is one that has it, of this weight, and one that has it not, of the rest.
    """
    if ((truth > 0) & (truth < 1)).any():
        rows, truth_of = np.nonzero(shares := np.stack([1 - truth, truth], axis=1))
        return _regression(features[rows], truth_of, shares[rows, truth_of])
    if len(np.unique(truth)) < 2:
        return np.zeros((1, features.shape[1])), np.array([-NEVER if truth[0] else NEVER])
    return _regression(features, truth)


def _regression(
    features: Float64Array, truth: Target, weights: Target | None = None
) -> tuple[Float64Array, Float64Array]:
    from sklearn.linear_model import LogisticRegression  # takes seconds, and every trial imports this module

    mean, scale = _standard(features)
    model = LogisticRegression(C=_INVERSE_STRENGTH, max_iter=1000).fit((features - mean) / scale, truth, weights)
    return _unscaled(model.coef_, model.intercept_, mean, scale)


def _standard(features: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return (F,) the means and (F,) the standard deviations, 1 for a constant."""
    scale = features.std(axis=0)
    return features.mean(axis=0), np.where(scale > 0, scale, 1.0)


def _unscaled(
    coefficients: Float64Array, intercepts: Float64Array, mean: Float64Array, scale: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return the coefficients and intercepts for features that are not standardized."""
    unscaled = coefficients / scale
    return unscaled, intercepts - unscaled @ mean


def _linear(ids: Sequence[str], columns: Columns, coefficients: Float64Array, intercepts: Float64Array) -> Linear:
    return Linear(
        member_ids=tuple(ids),
        columns=columns,
        coefficients=tuple(tuple(row) for row in coefficients.tolist()),
        intercepts=tuple(intercepts.tolist()),
    )
