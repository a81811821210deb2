"""The honest score of an ensemble: weights, decision and combiner are learnt on other rows than they are scored on.

The rows fall into parts, and each part is scored by what was learnt from the others: a part is a fold. Of folds in the
order of time only the earlier ones are others. A holdout, which is one fold, is dealt into parts by chance: the models
saw none of its rows.

Shape legend: M members, N scored rows, n of them, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.combiner import FoldOf
from kaggle_ray.combine.fits import Blend, Fits
from kaggle_ray.metrics import Jackknifed, jackknife, jackknife_of_rows, over_folds
from kaggle_ray.rows import LazyRows, Rows, select_rows
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, IntArray

_HOLDOUT_PARTS = 5
"""Parts of a holdout, as many as a competition has folds unless it says otherwise."""

Learn = Callable[[BoolArray], Blend]
"""Learns from those of the N rows that it may see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossFitted:
    """Some rows, each with what was learnt without its part."""

    oof: Rows
    """(n, C) each row blended with weights that never saw its part; not yet decided."""
    answers: Rows
    """(n, C) each of them decided by the rule that never saw its part either."""
    part_of: IntArray
    """(n,) the part of each row."""
    by_part: Mapping[int, Blend]
    """Part -> what was learnt from the others."""


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
    standard_error: float | None = None
    """Standard error of ``honest``, from which rows there happen to be; None where it is not known."""

    @property
    def scores_what_is_submitted(self) -> bool:
        """Whether ``honest`` tells of ``final``: not where there was nothing to fit on, and ``final`` is fitted."""
        return len(self.by_part) > 1 or next(iter(self.by_part.values())).is_same(self.final)

    @property
    def optimism(self) -> float:
        """How much the in-sample score flatters, in the metric's units; positive where it does."""
        difference = self.in_sample - self.honest
        return difference if self.greater_is_better else -difference


def nested_score(fits: Fits, learn: Learn, *, with_error: bool = True) -> NestedScore:
    """Return the honest and the in-sample score of what is learnt of a pool.

    A part that has no others to learn from, as the first span of time, is scored by equal weights and the metric's
    default rule.

    Args:
        fits: the pool.
        learn: is called with all rows, and with the others than each part.
        with_error: whether the standard error is wanted, which takes some dozens of scores.
    """
    everything = np.ones(len(fits.fold_of), dtype=np.bool_)
    crossed = cross_fitted(fits, learn, everything)
    final = learn(everything)
    scorer = over_folds(fits.metric, fits.fold_of)
    of_rows = _row_scores(fits, crossed, np.arange(len(everything)))
    if of_rows is not None:
        errors: Jackknifed | None = jackknife_of_rows(of_rows)
    else:
        errors = jackknife(fits.metric, fits.target, crossed.answers, fits.fold_of) if with_error else None
    of_final = fits.row_scores(final)
    return nested_of(
        fits,
        final=final,
        by_part=crossed.by_part,
        honest=scorer.score(fits.target, crossed.answers) if errors is None else errors.score,
        in_sample=scorer.score(fits.target, final.answers(fits.inputs)) if of_final is None else float(of_final.mean()),
        standard_error=errors.standard_error if errors is not None and with_error else None,
    )


def nested_of(
    fits: Fits,
    *,
    final: Blend,
    by_part: Mapping[int, Blend],
    honest: float,
    in_sample: float,
    standard_error: float | None,
) -> NestedScore:
    """Return the nested score of what was learnt of a pool: without its parts, and of all rows."""
    positions = np.arange(len(fits.fold_of))
    part_of = parts_of(fits.fold_of, fits.target, forward=fits.forward)
    blended = {part: blend.fitted.predict(fits.inputs) for part, blend in by_part.items()}
    return NestedScore(
        honest=honest,
        in_sample=in_sample,
        standard_error=standard_error,
        greater_is_better=fits.metric.greater_is_better,
        oof=_from_its_part(blended, part_of, positions),
        final=final,
        part_of=part_of,
        by_part=by_part,
    )


def cross_fitted(fits: Fits, learn: Learn, seen: BoolArray) -> CrossFitted:
    """Return the rows that are ``seen`` (N,), n of them, each with what was learnt from those of other parts."""
    positions = np.flatnonzero(seen)
    part_of = parts_of(fits.fold_of[positions], fits.target, forward=fits.forward, positions=positions)
    by_part = {part: learn(others) for part, others in _others(fits, part_of, positions).items()}
    return CrossFitted(
        oof=_from_its_part({part: of.fitted.predict(fits.inputs) for part, of in by_part.items()}, part_of, positions),
        answers=_from_its_part({part: of.answers(fits.inputs) for part, of in by_part.items()}, part_of, positions),
        part_of=part_of,
        by_part=by_part,
    )


def jackknifed(fits: Fits, crossed: CrossFitted, seen: BoolArray) -> Jackknifed:
    """Return the honest score of the rows ``seen`` (N,), which are those of ``crossed``, with what it hangs on."""
    of_rows = _row_scores(fits, crossed, np.flatnonzero(seen))
    if of_rows is not None:
        return jackknife_of_rows(of_rows)
    return jackknife(fits.metric, select_rows(fits.target, seen), crossed.answers, fits.fold_of[seen])


def _row_scores(fits: Fits, crossed: CrossFitted, positions: IntArray) -> Float64Array | None:
    """Return (n,) the scores of the rows of ``crossed`` where the pool tells them without reading them again."""
    found: Float64Array = np.empty(len(positions))
    for part, blend in crossed.by_part.items():
        if (of_all := fits.row_scores(blend)) is None:
            return None
        found[crossed.part_of == part] = of_all[positions[crossed.part_of == part]]
    return found


def others_of(fits: Fits, seen: BoolArray) -> dict[int, BoolArray]:
    """Return each part of the rows that are ``seen`` (N,) -> those of them (N,) that may be learnt from for it."""
    positions = np.flatnonzero(seen)
    part_of = parts_of(fits.fold_of[positions], fits.target, forward=fits.forward, positions=positions)
    return _others(fits, part_of, positions)


def _others(fits: Fits, part_of: IntArray, positions: IntArray) -> dict[int, BoolArray]:
    found: dict[int, BoolArray] = {}
    for part in np.unique(part_of).tolist():
        found[part] = np.zeros(len(fits.fold_of), dtype=np.bool_)
        found[part][positions[part_of < part if fits.forward else part_of != part]] = True
    return found


def parts_of(fold_of: FoldOf, target: Rows, *, forward: bool, positions: IntArray | None = None) -> IntArray:
    """Return (n,) the part of each row: its fold, or of a holdout one that it is dealt to, classes evenly.

    A holdout in the order of time stays one part, as none of its rows may learn from another.

    Args:
        fold_of: (n,) folds.
        target: (N,) or (N, T) of rows among which they are.
        forward: whether folds follow each other in time.
        positions: (n,) where in ``target`` the rows are; None: they are all of it.
    """
    if forward or len(np.unique(fold_of)) > 1:
        return fold_of.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(fold_of))
    if len(target.shape) == 1:
        classes = target[:] if positions is None else target[positions]
        order = order[np.argsort(classes[order], kind="stable")]
    part_of = np.empty(len(order), dtype=np.int64)
    part_of[order] = np.arange(len(order)) % _HOLDOUT_PARTS
    return part_of


def _from_its_part(of_parts: Mapping[int, Rows], part_of: IntArray, positions: IntArray) -> LazyRows:
    """Return (n, C) each row as the table (N, C) of its part has it."""
    (num_columns,) = next(iter(of_parts.values())).shape[1:]

    def read(rows: IntArray) -> FloatArray:
        found: FloatArray = np.empty((len(rows), num_columns), dtype=np.float32)
        for part in np.unique(part_of[rows]).tolist():
            of_part = part_of[rows] == part
            found[of_part] = of_parts[part][positions[rows[of_part]]]
        return found

    return LazyRows((len(positions), num_columns), read)
