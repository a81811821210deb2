"""Combines the out-of-fold predictions of complete experiments into one, and says honestly what it is worth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.combine import (
    boosting,
    convex,
    greedy,
    means,
    per_label,
    ranks,
    stacking,
    tempered,
)  # register their combiners
from kaggle_ray.combine.choice import candidates, choose
from kaggle_ray.combine.combiner import AUTO, COMBINERS, Fitted
from kaggle_ray.combine.fits import Blend, Fits, with_table
from kaggle_ray.combine.in_time import TimeLeft, is_learnt_in_time, learnt_in_time
from kaggle_ray.combine.kept import Kept
from kaggle_ray.combine.nested import Learn, NestedScore, nested_score
from kaggle_ray.counted import counted
from kaggle_ray.decide import Decision
from kaggle_ray.errors import DataError, IncompleteFoldsError, NothingToSubmitError
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.types import IntArray

__all__ = [
    "AUTO", "BUILT_IN", "COMBINERS", "Ensemble", "Fits", "Kept", "TimeLeft", "boosting", "convex", "greedy", "means",
    "per_label", "ranks", "select", "select_from", "stacking", "tempered",
]  # fmt: skip

BUILT_IN = ("mean", "greedy")
"""Combiners that every run fits, for comparison on the board."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Weighted experiments, and what they are worth together."""

    method: str
    """Name of the combiner that was asked for; ``auto`` where one was to be chosen."""
    combiner: str
    """Name of the combiner that it is."""
    fitted: Fitted
    """What the combiner learnt from all scored rows."""
    score_honest: float | None
    """Score of ``oof``, the one to show; see ``why_no_score``."""
    standard_error: float | None
    """Standard error of the honest score, from which rows there happen to be; None where it is not known."""
    score_in_sample: float | None
    """Score of what was learnt on the rows that it was fitted on: good for the optimism only, and None without it."""
    optimism: float | None
    """How much the in-sample score flatters, in the metric's units, positive where it does; None without an honest
    score."""
    oof: Rows
    """(N, C) each scored row blended with weights that never saw its part; not yet decided."""
    decision: Decision
    """Turns a blend into an answer; fitted, like the weights, on all scored rows."""
    part_of: IntArray
    """(N,) the part of each scored row: its fold, or of a holdout one that it is dealt to."""
    by_part: Mapping[int, Blend]
    """What the honest score of a part's rows was made with."""
    why_no_score: str | None = None
    """Why there is no honest score, in one line."""

    def decision_of(self, row: int) -> Decision:
        """Return the rule that answers for a scored row, which was fitted without the row's part."""
        return self.by_part[int(self.part_of[row])].decision

    @property
    def weights(self) -> Mapping[str, float]:
        """Experiment id -> its share, above 0; all shares sum to 1."""
        return self.fitted.weights

    def apply(self, predictions: Mapping[str, Rows], table: Rows | None = None) -> LazyRows:
        """Return (T, C) one prediction made of the members' predictions, given by experiment id; others are left out.

        It is computed where it is read: ``blend[:]`` is an array of all rows.

        Args:
            predictions: experiment id -> (T, C).
            table: (T, D) numbers that come with the rows, where there are any.

        Raises:
            IncompleteFoldsError: a member has no predictions.
            DataError: the members' predictions differ in shape, or it needs a table that is not there.
        """
        if missing := [experiment_id for experiment_id in self.weights if experiment_id not in predictions]:
            raise IncompleteFoldsError(
                f"ensemble: expected the predictions of {counted(len(self.weights), 'experiment')}, missing {missing}. "
                f"Run the same command again to finish them."
            )
        members = {experiment_id: predictions[experiment_id] for experiment_id in self.weights}
        _check_same_shape(members)
        blended = self.fitted.predict(with_table(members, table))
        return LazyRows(blended.shape, lambda rows: np.asarray(blended[rows], dtype=np.float32))


def select(
    members: Mapping[str, Rows],
    target: Rows,
    fold_of: npt.NDArray[np.signedinteger[Any]],
    metric: Metric,
    method: str,
    *,
    table: Rows | None = None,
    unproven: Collection[str] = (),
    forward: bool = False,
    elaborate: tuple[str, ...] | None = None,
    with_error: bool = True,
    kept: Kept | None = None,
) -> Ensemble:
    """Return the ensemble of ``members``; the order of the mapping does not matter.

    Args:
        members: experiment id -> out-of-fold predictions (N, C) of the scored rows.
        target: (N,) or (N, T) what they predict.
        fold_of: (N,) the fold of each scored row.
        metric: what the weights are fitted and scored by.
        method: name of the combiner, or ``auto``.
        table: (N, D) numbers that come with the scored rows, for combiners that take them.
        unproven: experiment ids of members whose models the scored rows had, or may have had, a say in.
        forward: whether folds follow each other in time.
        elaborate: names of what ``auto`` may choose beside the best and the mean; None: whatever suits the pool.
        with_error: whether the standard error of its score is wanted, which takes some dozens of scores.
        kept: what was learnt of pools before, which is asked first, and keeps what is learnt now.

    Raises:
        ConfigError: there is no such combiner, or it weights what is no member.
        NothingToSubmitError: there is no member.
        DataError: the members differ in shape.
    """
    if not members:
        raise NothingToSubmitError("no experiment is complete in all folds. Run the same command again to finish one.")
    _check_same_shape(members)
    fits = Fits(members, target, fold_of, metric, forward=forward, table=table)
    return select_from(fits, method, unproven=unproven, elaborate=elaborate, with_error=with_error, kept=kept)


def select_from(
    fits: Fits,
    method: str,
    *,
    unproven: Collection[str] = (),
    elaborate: tuple[str, ...] | None = None,
    with_error: bool = True,
    kept: Kept | None = None,
    time_left: TimeLeft | None = None,
) -> Ensemble:
    """Return the ensemble of a pool by one method; what combiners have learnt of the pool before is not learnt again.

    Whether its score is honest is decided here, and nowhere else: one that is not is not in what is returned.

    Args:
        fits: the pool.
        method: name of the combiner, or ``auto``, where it is chosen anew for each part of the rows, by the others.
        unproven: experiment ids of members whose models the scored rows had, or may have had, a say in.
        elaborate: names of what ``auto`` may choose beside the best and the mean; None: whatever suits the pool.
        with_error: whether the standard error of its score is wanted, which takes some dozens of scores.
        kept: what was learnt of pools before, which is asked first, and keeps what is learnt now.
        time_left: for all but the best and the mean; it is told what of the rest there was no time for. Where that is
            the method itself, the ensemble is the better one of both, or, without time to choose, the mean.

    Raises:
        ConfigError: there is no such combiner, or it weights what is no member.
    """
    elaborate = (candidates(fits) if elaborate is None else elaborate) if method == AUTO else ()
    way = method
    if time_left is not None and not (kept and kept.has(fits, [method, list(elaborate)], with_error=with_error)):
        in_time = learnt_in_time(fits, elaborate, time_left) if method == AUTO else ()
        if method != AUTO and not is_learnt_in_time(fits, method, time_left):
            way, in_time = AUTO, learnt_in_time(fits, (), time_left)
        way, elaborate = ("mean", ()) if in_time is None else (way, in_time)
    learn: Learn = partial(choose, fits, elaborate) if way == AUTO else partial(fits.blend, way)
    if kept is None:
        nested = nested_score(fits, learn, with_error=with_error)
    else:
        nested = kept.nested(fits, [way, list(elaborate)], learn, with_error=with_error)
    why_no_score = _why_no_score(nested, unproven)
    is_honest = why_no_score is None
    return Ensemble(
        method=method,
        combiner=nested.final.method,
        fitted=nested.final.fitted,
        score_honest=nested.honest if is_honest else None,
        standard_error=nested.standard_error if is_honest else None,
        score_in_sample=nested.in_sample if is_honest else None,
        optimism=nested.optimism if is_honest else None,
        oof=nested.oof,
        decision=nested.final.decision,
        part_of=nested.part_of,
        by_part=nested.by_part,
        why_no_score=why_no_score,
    )


def _why_no_score(nested: NestedScore, unproven: Collection[str]) -> str | None:
    count = {name for each in (nested.final, *nested.by_part.values()) for name in each.fitted.weights}
    if not count.isdisjoint(unproven):
        return "the rows that are scored had, or may have had, a say in the models of its members"
    if not nested.scores_what_is_submitted:
        return "its weights or its decision are fitted on the rows that are scored, and there are no others to fit on"
    return None


def _check_same_shape(members: Mapping[str, Rows]) -> None:
    shapes = {experiment_id: values.shape for experiment_id, values in sorted(members.items())}
    if len(set(shapes.values())) > 1:
        raise DataError(f"ensemble: expected predictions of one shape (N, C), got {shapes}.")
