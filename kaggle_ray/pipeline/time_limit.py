"""Where a run has to end by a certain time: when training stops for what follows it, and what that has time for.

What follows is ensembling, then the submission. Nothing is known of either before there are members, so that ensembling
is tried on made-up predictions of some rows, and the submission is told by its rehearsal and by the baseline's.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from kaggle_ray.combine import AUTO, Fits, TimeLeft
from kaggle_ray.combine.choice import SIMPLE, candidates
from kaggle_ray.combine.in_time import choice_s, nested_s, sample_rows
from kaggle_ray.data.baseline import mixed_predictions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.submission.submit import REHEARSED_MASKS

_MOST_SHARE = 0.3
"""Share of the time that is kept from training at most: what ensembling has no time for is left out by name."""
_MEMBERS = 8
"""Members that are made up; those of the run take as many times more as there are more of them."""


def with_time_to_ensemble(plan: RunPlan, target: Rows, *, now: float | None = None) -> RunPlan:
    """Return the plan of a run whose training stops early enough to ensemble all its experiments.

    Args:
        plan: of the run; without a limit it is returned as it is.
        target: (N,) or (N, T) of all training rows.
        now: seconds since the Unix epoch; None: as the plan's clock tells them.
    """
    now = plan.clock.now() if now is None else now
    if plan.stop_at is None or plan.ends_at is None or plan.stop_at <= now:
        return plan
    reserve = min(ensembling_s(plan, target), _MOST_SHARE * (plan.ends_at - now))
    return dataclasses.replace(plan, stop_at=min(plan.stop_at, plan.ends_at - reserve))


def time_to_ensemble(plan: RunPlan, *, rehearsal_s: float, baseline_s: float) -> TimeLeft:
    """Return the clock of ensembling, which leaves time for the submission.

    Args:
        plan: of the run.
        rehearsal_s: seconds that the rehearsal of the submission took.
        baseline_s: seconds that writing and checking the baseline took.
    """
    if plan.ends_at is None:
        return TimeLeft()
    rows = len(plan.folds.scored_rows())
    times = rows / min(rows, REHEARSED_MASKS) if plan.competition.is_segmentation else 1.0
    return TimeLeft(plan.ends_at - times * rehearsal_s - 2 * baseline_s, now=plan.clock.now)


def ensembling_s(plan: RunPlan, target: Rows) -> float:
    """Return about how many seconds ensembling takes that leaves nothing out."""
    rows = plan.folds.scored_rows()
    fold_of, num_rows = plan.folds.fold_of[rows], len(rows)
    num_members = max(1, plan.num_experiments)
    num_made_up = min(_MEMBERS, num_members)
    rng = np.random.default_rng(0)
    num_sampled = sample_rows(fold_of, num_values=num_made_up * plan.competition.num_columns)
    chosen = np.sort(rng.permutation(num_rows)[:num_sampled])
    truth = select_rows(target, rows[chosen])
    likely = mixed_predictions(plan.competition.heads, truth)
    shares = rng.random((num_made_up, num_sampled, 1), dtype=np.float32)
    members = {str(at): share * likely + (1 - share) * likely.mean(axis=0) for at, share in enumerate(shares)}

    def fits_of(some: dict[str, Rows]) -> Fits:
        return Fits(some, truth, fold_of[chosen], plan.competition.metric, forward=plan.folds.forward)

    alone = nested_s(fits_of({"0": members["0"]}), "mean", num_rows=num_rows)
    if num_members == 1:
        return alone
    pool, method = fits_of(dict(members)), plan.options.ensemble
    together = sum(choice_s(pool, each, num_rows=num_rows) for each in (*SIMPLE, *candidates(pool)))
    if method not in (AUTO, *SIMPLE):
        together += nested_s(pool, method, num_rows=num_rows)
    return num_members * (alone + together / num_made_up)
