"""The honest score of an ensemble: weights are fitted on the other folds than they are scored on.

Shape legend: M members, N scored rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.ensemble.methods import Method, blend, fit_weights
from kaggle_ray.metrics import Metric
from kaggle_ray.types import Float64Array, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class NestedScore:
    """What an ensemble is worth, and what it seems to be worth."""

    honest: float
    """Score of ``oof``."""
    in_sample: float
    """Score of ``weights`` on the rows that they were fitted on."""
    greater_is_better: bool
    oof: FloatArray
    """(N, C) each row blended with weights that never saw its fold."""
    weights: Float64Array
    """(M,) fitted on all rows: those to predict the test set with."""

    @property
    def optimism(self) -> float:
        """By how much the in-sample score flatters, in the metric's units; positive where it does."""
        difference = self.in_sample - self.honest
        return difference if self.greater_is_better else -difference


def nested_score(
    method: Method,
    members: Sequence[FloatArray],
    target: IntArray,
    fold_of_scored: npt.NDArray[np.signedinteger[Any]],
    metric: Metric,
) -> NestedScore:
    """Return the honest and the in-sample score of ``members`` combined by ``method``.

    Args:
        method: how weights are fitted.
        members: M out-of-fold predictions, each (N, C).
        target: (N,) what they predict.
        fold_of_scored: (N,) the fold of each row, two or more of them, none train-only.
        metric: scores the pooled rows once.
    """
    assert fold_of_scored.min() >= 0, "only scored rows belong here"
    oof = np.empty_like(members[0], dtype=np.float32)
    for fold in np.unique(fold_of_scored):
        held_out = fold_of_scored == fold
        weights = fit_weights(method, [member[~held_out] for member in members], target[~held_out], metric)
        oof[held_out] = blend([member[held_out] for member in members], weights)
    weights = fit_weights(method, members, target, metric)
    return NestedScore(
        honest=metric.score(target, oof),
        in_sample=metric.score(target, blend(members, weights)),
        greater_is_better=metric.greater_is_better,
        oof=oof,
        weights=weights,
    )
