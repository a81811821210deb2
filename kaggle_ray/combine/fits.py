"""What combiners learn from some of the scored rows, each learnt once: the same rows are asked for again and again.

Whoever chooses among combiners without the rows of one fold, and judges them by fitting without another, fits on all
pairs of folds left out; the pair is the same whichever of the two comes first.

Shape legend: N scored rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.combiner import COMBINERS, TABLE, Combiner, Fitted, FoldOf, WeightedMean
from kaggle_ray.combine.means import Mean
from kaggle_ray.config.users_code import users_code
from kaggle_ray.decide import (
    Decision,
    MaskCounts,
    count_masks,
    decided,
    default_decision,
    fit_counted,
    fit_decision,
)
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import Jackknifed, Metric
from kaggle_ray.progress import Counter
from kaggle_ray.rows import LazyRows, Rows, select_rows
from kaggle_ray.types import BoolArray, Float64Array, canonical_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Blend:
    """What a combiner learnt, and the rule that turns what it predicts into an answer."""

    method: str
    """Name of the combiner."""
    fitted: Fitted
    decision: Decision

    def answers(self, inputs: Mapping[str, Rows]) -> LazyRows:
        """Return (N, C) what is decided of the prediction made of members, each (N, C), and a table beside them."""
        blended = self.fitted.predict(inputs)
        return LazyRows(blended.shape, lambda rows: self.decision.apply(blended[rows]))

    def is_same(self, other: Blend) -> bool:
        """Return whether the other one learnt just the same."""
        return self.decision == other.decision and self.fitted.to_json() == other.fitted.to_json()


class Fits:
    """The members of a pool, what they predict, and what combiners have learnt of them so far."""

    def __init__(
        self,
        members: Mapping[str, Rows],
        target: Rows,
        fold_of: FoldOf,
        metric: Metric,
        *,
        forward: bool = False,
        table: Rows | None = None,
    ) -> None:
        """Start with nothing learnt.

        Args:
            members: member id -> (N, C) out-of-fold predictions; their order does not matter.
            target: (N,) or (N, T) what they predict.
            fold_of: (N,) the fold of each row, none train-only.
            metric: scores the pooled rows once, or each fold.
            forward: whether folds follow each other in time.
            table: (N, D) numbers that come with the rows, for combiners that take them.
        """
        assert fold_of.min() >= 0, "only scored rows belong here"
        self.members = {member_id: members[member_id] for member_id in sorted(members)}
        self.table = table
        self.inputs = with_table(self.members, table)
        """What is predicted of: the members, and the table beside them."""
        self.target, self.fold_of, self.metric, self.forward = target, fold_of, metric, forward
        self.scores: dict[tuple[str, bytes], Jackknifed] = {}
        """Combiner and rows that were seen, as bits -> its honest score on them, for who compares combiners."""
        self._counter = Counter("combining predictions", 0)
        self._learnt: dict[tuple[str, bytes], Blend] = {}
        self._decisions: dict[tuple[type, str, bytes], Decision] = {}
        self._counts: dict[tuple[type, str], MaskCounts] = {}

    @property
    def num_columns(self) -> int:
        """C."""
        return next(iter(self.members.values())).shape[1]

    def blend(self, method: str, seen: BoolArray) -> Blend:
        """Return what the combiner of a name learns from the rows that it may see, ``seen`` (N,), and its decision.

        Raises:
            ConfigError: there is no such combiner, or it weights what is no member.
        """
        key = (method, np.packbits(seen).tobytes())
        if key not in self._learnt:
            self._learnt[key] = self._fit(method, seen)
            self._counter.add(1)
        return self._learnt[key]

    def has(self, method: str, seen: BoolArray) -> bool:
        """Return whether a combiner has learnt from the rows ``seen`` (N,)."""
        return (method, np.packbits(seen).tobytes()) in self._learnt

    @property
    def are_masks_counted(self) -> bool:
        """Whether pixels are counted once for all rows: rules for masks of the same mean are then fitted unread."""
        metric = self.metric
        is_mean = metric.pooled and metric.mean_over_rows and not metric.parts
        return metric.decision == "mask" and metric.score_of_counts is not None and is_mean

    def row_scores(self, blend: Blend) -> Float64Array | None:
        """Return (N,) the scores of the rows by a blend, None where they are not known without reading them again.

        They are where masks are counted, and the score is the mean of those of the images.
        """
        score_of_counts = self.metric.score_of_counts
        if score_of_counts is None or not self.are_masks_counted:
            return None
        return self._counts_of(blend.fitted).scores(score_of_counts, blend.decision)

    def _fit(self, method: str, seen: BoolArray) -> Blend:
        """Fit the combiner under the rule that suits the members' mean, then the rule to what the combiner predicts.

        A rule that is fitted anew at each step of a search for weights gained nothing. Where no row is seen, it is
        equal weights and the rule that needs no fitting.
        """
        combiner, metric = COMBINERS[method](), self.metric
        if not seen.any():
            equal = Mean().fit(self.members, self.target, self.fold_of, metric)
            return Blend(method="mean", fitted=equal, decision=default_decision(metric, self.num_columns))
        inputs, target, fold_of = self.inputs, self.target, self.fold_of
        if not seen.all():
            inputs = {name: select_rows(rows, seen) for name, rows in inputs.items()}
            target, fold_of = select_rows(target, seen), fold_of[seen]
        members = {member_id: inputs[member_id] for member_id in self.members}
        if method == "best" and self.are_masks_counted:
            fitted = self._best_by_counts(seen)
            return Blend(method=method, fitted=fitted, decision=self._decision(fitted, seen, inputs, target))
        if len(members) > 1:  # else nothing is chosen among several by the metric, so that no rule is needed for it
            mean = Mean().fit(members, target, fold_of, metric)
            metric = decided(metric, self._decision(mean, seen, members, target))
        with nullcontext() if COMBINERS.is_built_in(method) else users_code(f"ensemble {method!r}"):
            is_given = inputs if getattr(combiner, "takes_table", False) else members
            fitted = combiner.fit(is_given, target, fold_of, metric)
        _check_weights(combiner, fitted, members)
        return Blend(method=method, fitted=fitted, decision=self._decision(fitted, seen, inputs, target))

    def _best_by_counts(self, seen: BoolArray) -> Fitted:
        """Return the member whose masks score best on the rows ``seen`` (N,) under the rule of the members' mean."""
        score_of_counts = self.metric.score_of_counts
        assert score_of_counts is not None, "are_masks_counted"
        ids = list(self.members)
        mean = Mean().fit(self.members, self.target, self.fold_of, self.metric)
        rule = self._decision(mean, seen, self.inputs, self.target)
        singles = [WeightedMean.of([each], np.ones(1)) for each in ids]
        best, best_score = singles[0], float("nan")
        for single in singles:
            of_rows = self._counts_of(single).of_rows(seen).scores(score_of_counts, rule)
            assert of_rows is not None, "a rule that is fitted has one of the thresholds that are counted"
            score = float(of_rows.mean())
            if single is singles[0] or self.metric.is_better(score, best_score):
                best, best_score = single, score
        return best

    def _decision(self, fitted: Fitted, seen: BoolArray, inputs: Mapping[str, Rows], target: Rows) -> Decision:
        """Return the rule that suits what is predicted of the rows ``seen`` (N,), given inputs and target of these."""
        key = (type(fitted), canonical_json(fitted.to_json()), np.packbits(seen).tobytes())
        if key not in self._decisions:
            score_of_counts = self.metric.score_of_counts
            self._decisions[key] = (
                fit_counted(score_of_counts, self._counts_of(fitted).of_rows(seen), self.metric.greater_is_better)
                if self.are_masks_counted and score_of_counts is not None
                else fit_decision(self.metric, target, fitted.predict(inputs))
            )
        return self._decisions[key]

    def _counts_of(self, fitted: Fitted) -> MaskCounts:
        key = (type(fitted), canonical_json(fitted.to_json()))
        if key not in self._counts:
            self._counts[key] = count_masks(self.target, fitted.predict(self.inputs))
        return self._counts[key]


def with_table(members: Mapping[str, Rows], table: Rows | None) -> dict[str, Rows]:
    """Return members by their ids with the table (N, D) beside them, where there is one."""
    return {**members} if table is None else {**members, TABLE: table}


def _check_weights(combiner: Combiner, fitted: Fitted, members: Mapping[str, Rows]) -> None:
    """Raise ConfigError where a combiner weights what is no member."""
    if not fitted.weights.keys() <= members.keys():
        raise ConfigError(
            f"ensemble by {type(combiner).__name__}: expected weights of {list(members)}, got {sorted(fitted.weights)}."
        )
