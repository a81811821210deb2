"""Ensembling that ends in time: what more there is time for is learnt, the cheapest first, and the rest is named.

What a combiner takes is told by learning it of some hundreds of the rows, and of a quarter of these. While it is learnt
of all, the clock is looked at before each fit: what takes longer than it seemed to is given up, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.combine.choice import SIMPLE, are_compared, scored
from kaggle_ray.combine.combiner import COMBINERS, FoldOf
from kaggle_ray.combine.fits import Fits
from kaggle_ray.combine.nested import others_of
from kaggle_ray.errors import DataError
from kaggle_ray.metrics import jackknife
from kaggle_ray.rows import select_rows
from kaggle_ray.types import BoolArray

_MOST_ROWS = 2000
_MOST_VALUES = 2**22
"""Numbers of all members together in a sample."""
_SAFETY = 1.5
"""What an estimate is taken times: sorting grows faster than its rows, and a cache holds the sample alone."""


class TimeLeft:
    """A clock with a moment by which all has to be done, and what was left out for the lack of time."""

    def __init__(self, until: float | None = None, *, now: Callable[[], float] | None = None) -> None:
        """Start with nothing left out.

        Args:
            until: the moment, as ``now`` tells it; None: there is time for all.
            now: tells the time in seconds; None: that of the machine's monotonic clock.
        """
        self._until, self._now = until, now or time.monotonic
        self.left_out: dict[str, str] = {}
        """What was left out -> why, in a few words."""

    @property
    def is_limited(self) -> bool:
        """Whether there is such a moment."""
        return self._until is not None

    def left_s(self) -> float:
        """Return the seconds that are left, infinity without a limit."""
        return math.inf if self._until is None else self._until - self._now()

    def is_enough_for(self, what: str, estimated_s: float = 0.0, *, kept_s: float = 0.0) -> bool:
        """Return whether there is time for something of a length that is estimated; what there is none for is named.

        Args:
            what: a few words.
            estimated_s: seconds that it is estimated to take; 0 where that is not known.
            kept_s: seconds that what follows it is to have.
        """
        left_s = self.left_s() - kept_s
        if left_s > estimated_s:
            return True
        self.left_out[what] = (
            f"estimated to take {_seconds(estimated_s)}, and {_seconds(left_s)} were left"
            if estimated_s
            else "time was up"
        )
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a combiner takes, in seconds."""

    fit_s: float
    """To learn, decision rules included, from all rows."""
    score_s: float
    """To score all rows, with what the standard error needs."""


def cost_of(fits: Fits, method: str, *, num_rows: int | None = None) -> Cost | None:
    """Return about what a combiner takes of ``num_rows`` rows, by default those of the pool.

    It is None where a sample of the rows tells nothing of it. A combiner of a competition's own file is not tried: it
    may count on more rows than a sample has.
    """
    if not is_ours(method):
        return None
    num_rows = len(fits.fold_of) if num_rows is None else num_rows
    most = sample_rows(fits.fold_of, num_values=len(fits.members) * fits.num_columns)
    few = max(1, most // 4)
    try:
        of_few, of_most = _timed(fits, method, few), _timed(fits, method, most)
    except DataError:  # a score that the sample has not, such as AUC where it lacks a class
        return None
    fit_s, score_s = (
        _SAFETY * (more + max(0.0, more - less) / max(1, most - few) * (num_rows - most))
        for less, more in zip(of_few, of_most, strict=True)
    )
    return Cost(fit_s=fit_s, score_s=score_s)


def sample_rows(fold_of: FoldOf, *, num_values: int) -> int:
    """Return how many rows a sample has, of (N,) folds and with so many numbers of all members in each row."""
    return min(len(fold_of), max(4 * len(np.unique(fold_of)), min(_MOST_ROWS, _MOST_VALUES // num_values)))


def is_ours(method: str) -> bool:
    """Return whether a combiner came with kaggle_ray."""
    return COMBINERS[method].__module__.startswith(f"{__name__.rpartition('.')[0]}.")


def nested_s(fits: Fits, method: str, *, num_rows: int | None = None) -> float:
    """Return about how long the nested score of one combiner takes; 0 where that is not known."""
    everything = _all_rows(fits)
    return _seconds_of(fits, method, [everything, *others_of(fits, everything).values()], 2, num_rows)


def choice_s(fits: Fits, method: str, *, num_rows: int | None = None) -> float:
    """Return about how long it takes to judge one combiner wherever ``auto`` chooses; 0 where that is not known."""
    masks = _masks(fits)
    needed = [others for of_seen in masks for others in (of_seen.seen, *of_seen.others)]
    return _seconds_of(fits, method, needed, len(masks), num_rows)


def _seconds_of(fits: Fits, method: str, masks: Sequence[BoolArray], num_scores: int, num_rows: int | None) -> float:
    cost = cost_of(fits, method, num_rows=num_rows)
    if cost is None:
        return 0.0
    num_fits = len({of.tobytes() for of in masks if not fits.has(method, of)})
    if method in SIMPLE and fits.are_masks_counted:  # all of them are made of what is read once
        num_fits = min(1, num_fits)
    return num_fits * cost.fit_s + num_scores * cost.score_s


def is_learnt_in_time(fits: Fits, method: str, time_left: TimeLeft) -> bool:
    """Return whether there is time for the nested score of one combiner; then all but the score is learnt by now.

    Args:
        fits: the pool; it keeps what is learnt.
        method: name of a combiner.
        time_left: is told where it is left out.
    """
    if not time_left.is_limited or method in SIMPLE:
        return True
    if not time_left.is_enough_for(method, nested_s(fits, method)):
        return False
    everything = _all_rows(fits)
    for seen in (everything, *others_of(fits, everything).values()):
        if not time_left.is_enough_for(method):
            return False
        fits.blend(method, seen)
    return True


def learnt_in_time(fits: Fits, methods: Sequence[str], time_left: TimeLeft) -> tuple[str, ...] | None:
    """Return those of some combiners that ``auto`` has time to judge, in their order; they are learnt by then.

    It is None where there is not even time to choose between the best and the mean, which is judged everywhere, too.

    Args:
        fits: the pool; it keeps what is learnt.
        methods: names of combiners that have to earn their place beside the best and the mean.
        time_left: is told what is left out.
    """
    if not time_left.is_limited or not _masks(fits):
        return tuple(methods)
    simple_s = sum(choice_s(fits, method) for method in SIMPLE)
    cost = cost_of(fits, "mean")
    final_s = 0.0 if cost is None else 2 * cost.score_s
    either = " or ".join(SIMPLE)
    is_chosen = time_left.is_enough_for(either, simple_s, kept_s=final_s)
    for method in SIMPLE if is_chosen else ():  # what the others have time for is what these leave
        if not _learnt(fits, method, time_left, kept_s=final_s, told_as=either):
            is_chosen = False
            break
    if not is_chosen:
        for method in methods:
            time_left.is_enough_for(method, simple_s)
        return None
    estimates = {method: choice_s(fits, method) for method in methods}
    cheapest_first = sorted(methods, key=lambda method: estimates[method])
    learnt = {each for each in cheapest_first if time_left.is_enough_for(each, estimates[each], kept_s=final_s)
              and _learnt(fits, each, time_left, kept_s=final_s)}  # fmt: skip
    return tuple(method for method in methods if method in learnt)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Masks:
    seen: BoolArray
    """(N,) rows that a choice is made by."""
    others: tuple[BoolArray, ...]
    """Rows (N,) that a combiner is fitted to for it, one part of those seen left out each."""


def _masks(fits: Fits) -> list[_Masks]:
    """Return the rows of each choice of a nested score."""
    everything = _all_rows(fits)
    choices = [everything, *others_of(fits, everything).values()]
    return [
        _Masks(seen=seen, others=tuple(others_of(fits, seen).values())) for seen in choices if are_compared(fits, seen)
    ]


def _learnt(fits: Fits, method: str, time_left: TimeLeft, *, kept_s: float, told_as: str | None = None) -> bool:
    """Return whether there was time for all that a choice asks of a combiner, which is known from now on.

    A fit of unknown length is not begun within the length of the longest one so far. Where there was no time, the clock
    is told so under the combiner's name, or ``told_as``.
    """
    longest_s, what = 0.0, told_as or method
    for masks in _masks(fits):
        for others in masks.others:
            if not time_left.is_enough_for(what, kept_s=kept_s + longest_s):
                return False
            began_at = time.perf_counter()
            fits.blend(method, others)
            longest_s = max(longest_s, time.perf_counter() - began_at)
        if not time_left.is_enough_for(what, kept_s=kept_s):
            return False
        scored(fits, method, masks.seen)
    return True


def _timed(fits: Fits, method: str, num_rows: int) -> tuple[float, float]:
    """Return the seconds that it takes to learn of some rows, drawn by chance, and to score them."""
    rows = np.sort(np.random.default_rng(0).permutation(len(fits.fold_of))[:num_rows])
    sample = Fits(
        {each: select_rows(member, rows) for each, member in fits.members.items()},
        select_rows(fits.target, rows), fits.fold_of[rows], fits.metric, forward=fits.forward,
        table=None if fits.table is None else select_rows(fits.table, rows),
    )  # fmt: skip
    started = time.perf_counter()
    blend = sample.blend(method, _all_rows(sample))
    learnt = time.perf_counter()
    if sample.row_scores(blend) is None:
        jackknife(sample.metric, sample.target, blend.answers(sample.inputs), sample.fold_of)
    return learnt - started, time.perf_counter() - learnt


def _all_rows(fits: Fits) -> BoolArray:
    return np.ones(len(fits.fold_of), dtype=np.bool_)


def _seconds(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s" if seconds >= 10 else f"{max(0.0, seconds):.1f} s"
