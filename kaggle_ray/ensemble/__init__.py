"""Combines the out-of-fold predictions of complete experiments into one, and says honestly what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.decide import Decision
from kaggle_ray.ensemble.methods import Method, blend
from kaggle_ray.ensemble.nested import Blend, nested_score
from kaggle_ray.errors import DataError, IncompleteFoldsError, NothingToSubmitError
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import LazyRows, Rows

__all__ = ["Ensemble", "Method", "select"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Weighted experiments, and what they are worth together."""

    method: Method
    weights: Mapping[str, float]
    """Experiment id -> weight above 0, sorted by id; they sum to 1."""
    score_honest: float
    """Score of ``oof``: the one to show."""
    score_in_sample: float
    """Score of the weights on the rows that they were fitted on: to be shown as optimism only."""
    optimism: float
    """How much the in-sample score flatters, in the metric's units; positive where it does."""
    oof: Rows
    """(N, C) each scored row blended with weights that never saw its fold; not yet decided."""
    decision: Decision
    """Turns a blend into an answer; fitted, like the weights, on all scored rows."""
    by_fold: Mapping[int, Blend]
    """What the honest score of a fold's rows was made with."""

    def apply(self, predictions: Mapping[str, Rows]) -> LazyRows:
        """Return (T, C) the blend of the members' predictions, given by experiment id; others are left out.

        It is computed where it is read: ``blend[:]`` is an array of all rows.

        Raises:
            IncompleteFoldsError: a member has no predictions.
            DataError: the members' predictions differ in shape.
        """
        if missing := [experiment_id for experiment_id in self.weights if experiment_id not in predictions]:
            raise IncompleteFoldsError(
                f"ensemble: expected the predictions of {len(self.weights)} experiments, missing {missing}. "
                f"Run the same command again to finish them."
            )
        members = {experiment_id: predictions[experiment_id] for experiment_id in self.weights}
        _check_same_shape(members)
        return blend(list(members.values()), np.array(list(self.weights.values())))


def select(
    members: Mapping[str, Rows],
    target: Rows,
    fold_of: npt.NDArray[np.signedinteger[Any]],
    metric: Metric,
    method: Method = "greedy",
) -> Ensemble:
    """Return the ensemble of ``members``; the order of the mapping does not matter.

    Args:
        members: experiment id -> out-of-fold predictions (N, C) of the scored rows.
        target: (N,) or (N, T) what they predict.
        fold_of: (N,) the fold of each scored row.
        metric: what the weights are fitted and scored by.
        method: how they are fitted.

    Raises:
        NothingToSubmitError: there is no member.
        DataError: the members differ in shape.
    """
    if not members:
        raise NothingToSubmitError("no experiment is complete in all folds. Run the same command again to finish one.")
    _check_same_shape(members)
    ids = sorted(members)
    nested = nested_score(method, [members[experiment_id] for experiment_id in ids], target, fold_of, metric)
    return Ensemble(
        method=method,
        weights={
            experiment_id: weight
            for experiment_id, weight in zip(ids, nested.final.weights.tolist(), strict=True)
            if weight > 0
        },
        score_honest=nested.honest,
        score_in_sample=nested.in_sample,
        optimism=nested.optimism,
        oof=nested.oof,
        decision=nested.final.decision,
        by_fold=nested.by_fold,
    )


def _check_same_shape(members: Mapping[str, Rows]) -> None:
    shapes = {experiment_id: values.shape for experiment_id, values in sorted(members.items())}
    if len(set(shapes.values())) > 1:
        raise DataError(f"ensemble: expected predictions of one shape (N, C), got {shapes}.")
