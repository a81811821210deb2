"""The honest score of an ensemble: weights and decision are fitted on the other folds than they are scored on.

Shape legend: M members, N scored rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.decide import Decision, decided, default_decision, fit_decision
from kaggle_ray.ensemble.combiner import Combiner, Fitted, FoldOf, Mean
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import Metric, over_folds
from kaggle_ray.rows import LazyRows, Rows, select_rows
from kaggle_ray.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Blend:
    """What a combiner learnt, and the rule that turns what it predicts into an answer."""

    fitted: Fitted
    decision: Decision

    def answers(self, members: Mapping[str, Rows]) -> LazyRows:
        """Return (N, C) what is decided of the prediction made of ``members``, each (N, C)."""
        blended = self.fitted.predict(members)
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
    combiner: Combiner, members: Mapping[str, Rows], target: Rows, fold_of_scored: FoldOf, metric: Metric
) -> NestedScore:
    """Return the honest and the in-sample score of ``members`` combined by ``combiner``.

    Args:
        combiner: is fitted on all folds, and on all but each.
        members: member id -> (N, C) out-of-fold predictions.
        target: (N,) or (N, T) what they predict.
        fold_of_scored: (N,) the fold of each row, none train-only. Where there is one only, there are no other folds to
            fit on: the honest score is that of equal weights and the metric's default rule.
        metric: scores the pooled rows once, or each fold.
    """
    assert fold_of_scored.min() >= 0, "only scored rows belong here"
    by_fold: dict[int, Blend] = {}
    for fold in np.unique(fold_of_scored).tolist():
        seen = fold_of_scored != fold
        others = {member_id: select_rows(member, seen) for member_id, member in members.items()}
        by_fold[fold] = _fit(combiner, others, select_rows(target, seen), fold_of_scored[seen], metric)
    oof = _from_its_fold({fold: of.fitted.predict(members) for fold, of in by_fold.items()}, fold_of_scored)
    answers = _from_its_fold({fold: of.answers(members) for fold, of in by_fold.items()}, fold_of_scored)
    final = _fit(combiner, members, target, fold_of_scored, metric)
    scorer = over_folds(metric, fold_of_scored)
    return NestedScore(
        honest=scorer.score(target, answers),
        in_sample=scorer.score(target, final.answers(members)),
        greater_is_better=metric.greater_is_better,
        oof=oof,
        final=final,
        by_fold=by_fold,
    )


def _from_its_fold(of_folds: Mapping[int, Rows], fold_of: FoldOf) -> LazyRows:
    """Return (N, C) each row as the table of its fold has it."""
    shape = next(iter(of_folds.values())).shape

    def read(rows: IntArray) -> FloatArray:
        found: FloatArray = np.empty((len(rows), *shape[1:]), dtype=np.float32)
        for fold in np.unique(fold_of[rows]).tolist():
            of_fold = fold_of[rows] == fold
            found[of_fold] = of_folds[fold][rows[of_fold]]
        return found

    return LazyRows(shape, read)


def _fit(combiner: Combiner, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Blend:
    """Fit the combiner under the rule that suits the members' mean, then the rule to what the combiner predicts.

    A rule that is fitted anew at each step of a search for weights gained nothing.
    """
    mean = Mean().fit(members, target, fold_of, metric)
    if not len(target):
        num_columns = next(iter(members.values())).shape[1]
        return Blend(fitted=mean, decision=default_decision(metric, num_columns))
    if len(members) == 1:  # nothing is chosen among several by the metric, so that no rule is needed for it
        fitted = combiner.fit(members, target, fold_of, metric)
    else:
        rule = fit_decision(metric, target, mean.predict(members))
        fitted = combiner.fit(members, target, fold_of, decided(metric, rule))
    if not fitted.weights.keys() <= members.keys():
        raise ConfigError(
            f"ensemble by {type(combiner).__name__}: expected weights of {list(members)}, got {sorted(fitted.weights)}."
        )
    return Blend(fitted=fitted, decision=fit_decision(metric, target, fitted.predict(members)))
