"""The choice of a combiner, by the rows that it may see: what is simple stays, unless more is worth it beyond noise.

Every candidate is fitted without each part of these rows and predicts that part, weights and decision alike. The best
single member and the plain mean are always candidates. Any other is taken only if it is better than the better of both
by more than one standard error of the difference on the same rows: so what is chosen is worse than the best member by
no more than noise.

Source: of the rule of one standard error, Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from kaggle_ray.combine.columns import columns_of
from kaggle_ray.combine.convex import MOST_MEMBERS
from kaggle_ray.combine.fits import Blend, Fits
from kaggle_ray.combine.nested import cross_fitted, jackknifed
from kaggle_ray.metrics import KL_DIVERGENCE, LOG_LOSS, Jackknifed, Metric
from kaggle_ray.types import BoolArray

SIMPLE = ("best", "mean")
"""Combiners of which the better one is always there to be chosen."""


def candidates(fits: Fits) -> tuple[str, ...]:
    """Return the names of the combiners that have to earn their place: those that make sense of a pool, and its size.

    Those of masks read all of them as often as selection does, and so are selection alone.
    """
    if len(fits.members) == 1 or fits.metric.mean_over_rows:
        return ("greedy",)
    few = ("convex",) if len(fits.members) <= MOST_MEMBERS else ()
    if columns_of(fits.members, fits.target, are_shares=fits.metric.takes_shares) == "numbers":
        return ("greedy", *few)
    is_of_sureness = fits.metric.name in (LOG_LOSS.name, KL_DIVERGENCE.name)  # what ranks or decides sees nothing of it
    sure = ("tempered",) if is_of_sureness else ()
    return ("greedy", "geometric", *few, *sure)


def choose(fits: Fits, elaborate: tuple[str, ...], seen: BoolArray) -> Blend:
    """Return what the combiner learns that is chosen by the rows ``seen`` (N,), from these rows.

    Of one span of time, whose rows may not learn from each other, and where no row is seen, it is the plain mean.

    Args:
        fits: the pool.
        elaborate: names of the combiners that have to earn their place.
        seen: rows that choice and combiner may see.
    """
    if not are_compared(fits, seen):
        return fits.blend("mean", seen)
    of_names = {name: scored(fits, name, seen) for name in (*SIMPLE, *elaborate)}
    return fits.blend(chosen_of(of_names, fits.metric), seen)


def are_compared(fits: Fits, seen: BoolArray) -> bool:
    """Return whether there are several members, and rows ``seen`` (N,) that may learn from others of them."""
    num_folds = len(np.unique(fits.fold_of[seen]))
    return len(fits.members) > 1 and num_folds > (1 if fits.forward else 0)


def scored(fits: Fits, name: str, seen: BoolArray) -> Jackknifed:
    """Return the honest score of a combiner on the rows ``seen`` (N,), fitted without each part of them in turn."""
    key = (name, np.packbits(seen).tobytes())
    if key not in fits.scores:
        fits.scores[key] = jackknifed(fits, cross_fitted(fits, partial(fits.blend, name), seen), seen)
    return fits.scores[key]


def chosen_of(scored: Mapping[str, Jackknifed], metric: Metric) -> str:
    """Return the name of the best one, a simple one unless another is better by more than one standard error.

    Args:
        scored: combiner -> its honest score on the same rows; earlier ones are taken of equals.
        metric: says which way is up.
    """

    def best_of(names: Sequence[str]) -> str:
        best = names[0]
        for name in names[1:]:
            best = name if metric.is_better(scored[name].score, scored[best].score) else best
        return best

    def is_worth_it(name: str) -> bool:
        gain = scored[name].score - scored[simple].score
        noise = scored[name].standard_error_of_difference(scored[simple])
        return (gain if metric.greater_is_better else -gain) > noise

    simple = best_of([name for name in scored if name in SIMPLE])
    return best_of([simple, *(name for name in scored if name not in SIMPLE and is_worth_it(name))])
