"""The honest score of an ensemble: weights and decision are fitted on other rows than they are scored on.

The rows fall into parts, and each part is scored by what was learnt from the others: a part is a fold. Of folds in the
order of time only the earlier ones are others. A holdout, which is one fold, is dealt into parts by chance: the models
saw none of its rows.

Shape legend: M members, N scored rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.combiner import Combiner, Fitted, FoldOf, Mean
from kaggle_ray.decide import Decision, decided, default_decision, fit_decision
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import Metric, over_folds
from kaggle_ray.rows import LazyRows, Rows, select_rows
from kaggle_ray.types import FloatArray, IntArray

_HOLDOUT_PARTS = 5
"""Parts of a holdout, as many as a competition has folds unless it says otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blend:
    """What a combiner learnt, and the rule that turns what it predicts into an answer."""

    fitted: Fitted
    decision: Decision

    def answers(self, members: Mapping[str, Rows]) -> LazyRows:
        """Return (N, C) what is decided of the prediction made of ``members``, each (N, C)."""
        blended = self.fitted.predict(members)
        return LazyRows(blended.shape, lambda rows: self.decision.apply(blended[rows]))

    def is_same(self, other: Blend) -> bool:
        """Return whether the other one learnt just the same."""
        return self.decision == other.decision and self.fitted.to_json() == other.fitted.to_json()


@dataclass(frozen=True, kw_only=True, slots=True)
class NestedScore:
    """What an ensemble is worth, and what it seems to be worth."""

    honest: float
    """Score of ``oof``, each row decided by the rule that never saw its part."""
    in_sample: float
    """Score of ``final`` on the rows that it was fitted on."""
    greater_is_better: bool
    oof: Rows
    """(N, C) each row blended with weights that never saw its part; not yet decided."""
    final: Blend
    """Fitted on all rows: what to predict the test set with."""
    part_of: IntArray
    """(N,) the part of each row."""
    by_part: Mapping[int, Blend]
    """Part -> what was fitted on the others."""

    @property
    def scores_what_is_submitted(self) -> bool:
        """Whether ``honest`` tells of ``final``: not where there was nothing to fit on, and ``final`` is fitted."""
        return len(self.by_part) > 1 or next(iter(self.by_part.values())).is_same(self.final)

    @property
    def optimism(self) -> float:
        """How much the in-sample score flatters, in the metric's units; positive where it does."""
        difference = self.in_sample - self.honest
        return difference if self.greater_is_better else -difference


def nested_score(
    combiner: Combiner,
    members: Mapping[str, Rows],
    target: Rows,
    fold_of_scored: FoldOf,
    metric: Metric,
    *,
    forward: bool = False,
) -> NestedScore:
    """Return the honest and the in-sample score of ``members`` combined by ``combiner``.

    A part that has no others to learn from, as the first span of time, is scored by equal weights and the metric's
    default rule.

    Args:
        combiner: is fitted on all rows, and on the others than each part.
        members: member id -> (N, C) out-of-fold predictions.
        target: (N,) or (N, T) what they predict.
        fold_of_scored: (N,) the fold of each row, none train-only.
        metric: scores the pooled rows once, or each fold.
        forward: whether folds follow each other in time.
    """
    assert fold_of_scored.min() >= 0, "only scored rows belong here"
    part_of = parts_of(fold_of_scored, target, forward=forward)
    by_part: dict[int, Blend] = {}
    for part in np.unique(part_of).tolist():
        seen = part_of < part if forward else part_of != part
        others = {member_id: select_rows(member, seen) for member_id, member in members.items()}
        by_part[part] = _fit(combiner, others, select_rows(target, seen), fold_of_scored[seen], metric)
    oof = _from_its_part({part: of.fitted.predict(members) for part, of in by_part.items()}, part_of)
    answers = _from_its_part({part: of.answers(members) for part, of in by_part.items()}, part_of)
    final = _fit(combiner, members, target, fold_of_scored, metric)
    scorer = over_folds(metric, fold_of_scored)
    return NestedScore(
        honest=scorer.score(target, answers),
        in_sample=scorer.score(target, final.answers(members)),
        greater_is_better=metric.greater_is_better,
        oof=oof,
        final=final,
        part_of=part_of,
        by_part=by_part,
    )


def parts_of(fold_of: FoldOf, target: Rows, *, forward: bool) -> IntArray:
    """Return (N,) the part of each row: its fold, or of a holdout one that it is dealt to, classes evenly.

    A holdout in the order of time stays one part, as none of its rows may learn from another.
    """
    if forward or len(np.unique(fold_of)) > 1:
        return fold_of.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(fold_of))
    if len(target.shape) == 1:
        order = order[np.argsort(target[:][order], kind="stable")]
    part_of = np.empty(len(order), dtype=np.int64)
    part_of[order] = np.arange(len(order)) % _HOLDOUT_PARTS
    return part_of


def _from_its_part(of_parts: Mapping[int, Rows], part_of: IntArray) -> LazyRows:
    """Return (N, C) each row as the table of its part has it."""
    shape = next(iter(of_parts.values())).shape

    def read(rows: IntArray) -> FloatArray:
        found: FloatArray = np.empty((len(rows), *shape[1:]), dtype=np.float32)
        for part in np.unique(part_of[rows]).tolist():
            of_part = part_of[rows] == part
            found[of_part] = of_parts[part][rows[of_part]]
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
