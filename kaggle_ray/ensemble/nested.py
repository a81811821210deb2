"""The honest score of an ensemble: weights and decision are fitted on the other folds than they are scored on.

Shape legend: M members, N scored rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.decide import Decision, decided, default_decision, fit_decision
from kaggle_ray.ensemble.methods import Method, blend, fit_weights, mean_weights
from kaggle_ray.metrics import Metric, over_folds
from kaggle_ray.rows import LazyRows, Rows, select_rows
from kaggle_ray.types import Float64Array, FloatArray, IntArray

FoldOf = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Blend:
    """Weights, and the rule that turns what they blend into an answer."""

    weights: Float64Array
    """(M,) weights of the members."""
    decision: Decision

    def answers(self, members: Sequence[Rows]) -> LazyRows:
        """Return (N, C) what is decided of the blend of ``members``, each (N, C)."""
        blended = blend(members, self.weights)
        return LazyRows(blended.shape, lambda rows: self.decision.apply(blended[rows]))


@dataclass(frozen=True, kw_only=True, slots=True)
class NestedScore:
    """What an ensemble is worth, and what it seems to be worth."""

    honest: float
    """Score of ``oof``, each row decided by the rule that never saw its fold."""
    in_sample: float
    """Score of ``final`` on the rows that it was fitted on."""
    greater_is_better: bool
    oof: Rows
    """(N, C) each row blended with weights that never saw its fold; not yet decided."""
    final: Blend
    """Fitted on all rows: what to predict the test set with."""
    by_fold: Mapping[int, Blend]
    """Fitted on the other folds than this one."""

    @property
    def optimism(self) -> float:
        """How much the in-sample score flatters, in the metric's units; positive where it does."""
        difference = self.in_sample - self.honest
        return difference if self.greater_is_better else -difference


def nested_score(
    method: Method, members: Sequence[Rows], target: Rows, fold_of_scored: FoldOf, metric: Metric
) -> NestedScore:
    """Return the honest and the in-sample score of ``members`` combined by ``method``.

    Args:
        method: how weights are fitted.
        members: M out-of-fold predictions, each (N, C).
        target: (N,) or (N, T) what they predict.
        fold_of_scored: (N,) the fold of each row, none train-only. Where there is one only, there are no other folds to
            fit on: the honest score is that of equal weights and the metric's default rule.
        metric: scores the pooled rows once, or each fold.
    """
    assert fold_of_scored.min() >= 0, "only scored rows belong here"
    by_fold: dict[int, Blend] = {}
    for fold in np.unique(fold_of_scored).tolist():
        seen = fold_of_scored != fold
        others = [select_rows(member, seen) for member in members]
        by_fold[fold] = _fit(method, others, select_rows(target, seen), fold_of_scored[seen], metric)
    oof = _from_its_fold({fold: blend(members, of.weights) for fold, of in by_fold.items()}, fold_of_scored)
    answers = _from_its_fold({fold: of.answers(members) for fold, of in by_fold.items()}, fold_of_scored)
    final = _fit(method, members, target, fold_of_scored, metric)
    scorer = over_folds(metric, fold_of_scored)
    return NestedScore(
        honest=scorer.score(target, answers),
        in_sample=scorer.score(target, final.answers(members)),
        greater_is_better=metric.greater_is_better,
        oof=oof,
        final=final,
        by_fold=by_fold,
    )


def _from_its_fold(of_folds: Mapping[int, LazyRows], fold_of: FoldOf) -> LazyRows:
    """Return (N, C) each row as the table of its fold has it."""
    shape = next(iter(of_folds.values())).shape

    def read(rows: IntArray) -> FloatArray:
        found: FloatArray = np.empty((len(rows), *shape[1:]), dtype=np.float32)
        for fold in np.unique(fold_of[rows]).tolist():
            of_fold = fold_of[rows] == fold
            found[of_fold] = of_folds[fold].read(rows[of_fold])
        return found

    return LazyRows(shape, read)


def _fit(method: Method, members: Sequence[Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Blend:
    """Fit weights under the rule that suits the members' mean, then the rule to what the weights blend.

    A rule that is fitted anew at each step of the weights' search gained nothing.
    """
    equal = mean_weights(len(members))
    if not len(target):
        return Blend(weights=equal, decision=default_decision(metric, members[0].shape[1]))
    weights = equal
    if len(members) > 1:
        rule = fit_decision(metric, target, blend(members, equal))
        weights = fit_weights(method, members, target, over_folds(decided(metric, rule), fold_of))
    return Blend(weights=weights, decision=fit_decision(metric, target, blend(members, weights)))
