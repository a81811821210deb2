"""What the members of an ensemble are to each other: how alike they are, what each adds, and what selection costs.

Shape legend: M members, N rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine import Fits, select_from
from kaggle_ray.combine.combiner import FoldOf
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.types import Float64Array, IntArray

MOST_MEMBERS = 8
"""Members that are looked at."""
_MOST_ROWS = 2000
"""Rows that they are looked at on: scores of many more would take longer than they are worth here."""
_MOST_VALUES = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberAnalysis:
    """Members, the one with the best score of its own first."""

    names: tuple[str, ...]
    """(M,) names."""
    scores: tuple[float, ...]
    """(M,) honest score of each by itself."""
    correlation: tuple[tuple[float | None, ...], ...]
    """(M, M) Pearson's correlation of what they predict out of fold; None where one says the same of all rows."""
    gains: tuple[float | None, ...]
    """(M,) how much better the ensemble of all of them is than that of the others, each honest; None of one alone."""
    honest: tuple[float, ...]
    """(M,) honest score of a greedy ensemble of the best one, the best two, ..."""
    in_sample: tuple[float, ...]
    """(M,) the same, on the rows that chose it."""
    num_rows: int
    """Rows that all this is of."""


def analyse_members(
    members: Mapping[str, Rows],
    names: Mapping[str, str],
    target: Rows,
    fold_of: FoldOf,
    metric: Metric,
    combiner: str,
    *,
    forward: bool,
    table: Rows | None = None,
) -> MemberAnalysis:
    """Return what the members are to each other, on some of the rows where there are many.

    Args:
        members: member id -> (N, C) out-of-fold predictions, at most ``MOST_MEMBERS``.
        names: member id -> what a person calls it.
        target: (N,) or (N, T) what they predict.
        fold_of: (N,) the fold of each row.
        metric: of the competition.
        combiner: that the ensemble is of.
        forward: whether folds follow each other in time.
        table: (N, D) numbers that come with the rows, for a combiner that takes them.

    Raises:
        DataError: the metric cannot score some of the rows.
    """
    rows = _some_rows(len(fold_of))
    of_rows, truth, folds = {each: members[each][rows] for each in members}, select_rows(target, rows), fold_of[rows]
    numbers = None if table is None else table[rows]

    def scores_of(chosen: list[str], method: str) -> tuple[float, float]:
        fits = Fits({each: of_rows[each] for each in chosen}, truth, folds, metric, forward=forward, table=numbers)
        made = select_from(fits, method, with_error=False)
        assert made.score_honest is not None, "none of them is unproven"
        assert made.score_in_sample is not None, "it has an honest score"
        return made.score_honest, made.score_in_sample

    alone = {each: scores_of([each], "mean")[0] for each in members}
    ranked = sorted(members, key=lambda each: (-alone[each] if metric.greater_is_better else alone[each], each))
    together = scores_of(ranked, combiner)[0]
    sign = 1 if metric.greater_is_better else -1
    path = [scores_of(ranked[:number], "greedy") for number in range(1, len(ranked) + 1)]
    return MemberAnalysis(
        names=tuple(names[each] for each in ranked),
        scores=tuple(alone[each] for each in ranked),
        correlation=_correlation([of_rows[each] for each in ranked]),
        gains=tuple(
            sign * (together - scores_of([other for other in ranked if other != each], combiner)[0])
            if len(ranked) > 1
            else None
            for each in ranked
        ),
        honest=tuple(honest for honest, _ in path),
        in_sample=tuple(in_sample for _, in_sample in path),
        num_rows=len(rows),
    )


def _some_rows(num_rows: int) -> IntArray:
    rng = np.random.default_rng(0)
    return np.sort(rng.permutation(num_rows)[:_MOST_ROWS]).astype(np.int64)


def _correlation(members: list[Float64Array]) -> tuple[tuple[float | None, ...], ...]:
    """Return (M, M) the correlation of predictions (N, C), of all columns together, each about its mean."""
    values = np.stack([(member - member.mean(axis=0)).astype(np.float64).ravel() for member in members])
    values = values[:, :: max(1, values.shape[1] // _MOST_VALUES)]
    norms = np.sqrt((values**2).sum(axis=1))
    products = values @ values.T
    scale = np.outer(norms, norms)
    return tuple(
        tuple(float(product / size) if size > 0 else None for product, size in zip(of_row, sizes, strict=True))
        for of_row, sizes in zip(products.tolist(), scale.tolist(), strict=True)
    )
