"""What --dry-run prints: the plan of a run and an estimate of its time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from kaggle_ray.counted import counted
from kaggle_ray.pipeline.further_fits import further_fits
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.reporters.texts import bytes_text, duration_text, plain
from kaggle_ray.store.labels import labelled

if TYPE_CHECKING:  # torch is not imported for a table
    from kaggle_ray.train.estimate import Estimate
from kaggle_ray.types import Experiment

MOST_ROWS = 100
"""Experiments that are shown: of thousands nobody reads all, and to draw them takes seconds."""

_STARTS_ON_RAY = 5
"""The start of a run on Ray, and its end, in starts of one process that trains without it."""


def plan_table(plan: RunPlan, estimates: Mapping[str, Estimate], *, imports_s: float = 0.0) -> Table:
    """Return the experiments of ``plan`` with the time that their trials are expected to take.

    Args:
        plan: what would run.
        estimates: experiment id -> its estimated times.
        imports_s: seconds in which this process imported what plans and trains.
    """
    num_folds = plan.folds.num_folds
    seconds_of = [estimates[experiment.experiment_id].trial_s for experiment in plan.examples]
    if plan.search is not None:  # what it draws takes as long as the ends do on average
        seconds_of = [math.fsum(seconds_of) / len(seconds_of)] * plan.search.num_experiments
    features_of = {looked_at: s for each in estimates.values() for looked_at, s in each.features_s.items()}
    features_s = math.fsum(features_of.values())
    start_s = starting_seconds(plan, estimates, imports_s)
    fits = further_fits(plan.examples, num_folds)
    teachers_s = math.fsum(estimates[teacher_id].trial_s * times for teacher_id, times in fits.items())
    beside_s = (features_s + teachers_s) / plan.num_slots
    total = start_s + estimated_seconds(seconds_of, num_folds, plan.num_slots) + beside_s
    table = Table(
        title=plain(
            f"{plan.competition.name}: {counted(plan.num_experiments, 'experiment')} x {counted(num_folds, 'fold')}"
        ),
        caption=plain(
            f"{_left_out(plan)}{_how_searched(plan)}"
            f"{counted(plan.num_trials, 'trial')}, {plan.num_slots} at a time on {plan.settings.device} "
            f"({plan.settings.dtype}), about {duration_text(total)} in all{_of_parts(start_s, features_s)}; "
            "ensembling and the report come on top. "
            f"{_of_teachers(sum(fits.values()), teachers_s)}"
            f"{_of_weights(plan, estimates)}Run folder: {plan.location}"
        ),
    )
    for name in ("experiment", "id", "image size", "epochs", "per trial", "all folds"):
        table.add_column(name, overflow="fold", justify="left" if name in ("experiment", "id") else "right")
    for experiment in labelled(plan.examples[:MOST_ROWS], plan.labels):
        seconds = estimates[experiment.experiment_id].trial_s
        table.add_row(
            plain(experiment.name),
            experiment.experiment_id,
            str(experiment.hyperparameters["image_size"]),
            _epochs_of(experiment),
            duration_text(seconds),
            duration_text(seconds * num_folds),
        )
    return table


def starting_seconds(plan: RunPlan, estimates: Mapping[str, Estimate], imports_s: float) -> float:
    """Return how long processes start and end, beside their trials.

    The driver imports what this process did. On Ray it imports Ray, too, whose processes start then, and after them
    those that train, which import all once more: that was measured on two cores.
    """
    one_process = imports_s + max(each.start_s for each in estimates.values())
    return one_process if plan.options.launcher == "local" else _STARTS_ON_RAY * one_process


def _of_parts(start_s: float, features_s: float) -> str:
    """Return what start and frozen backbones have of the whole time; nothing where they take none."""
    parts = [f"starting takes {duration_text(start_s)}"] if start_s else []
    if features_s:
        parts.append(
            f"frozen backbones take {duration_text(features_s)} of one slot, unless the cache has their features"
        )
    return f", of which {' and '.join(parts)}" if parts else ""


def _of_teachers(num_fits: int, seconds: float) -> str:
    """Return what teachers cost that answer for rows which they have not seen; nothing where there are none."""
    if not num_fits:
        return ""
    how_often = f"{counted(num_fits, 'time')} more"
    return f"Teachers are fitted {how_often}, each without two folds: {duration_text(seconds)} of one slot. "


def _epochs_of(experiment: Experiment) -> str:
    if experiment.weights_of is not None:
        return "none: predicts only"
    return "none: a mean of weights" if experiment.soup_ids else str(experiment.hyperparameters["epochs"])


def _of_weights(plan: RunPlan, estimates: Mapping[str, Estimate]) -> str:
    """Return how much of the disk weights take at most; a complete run keeps some of them."""
    of_examples = [estimates[each.experiment_id] for each in plan.examples]
    mean_bytes = math.fsum(each.weights_bytes * each.num_weights for each in of_examples) / len(of_examples)
    if not mean_bytes:
        return ""
    return f"Weights take up to {bytes_text(mean_bytes * plan.num_trials)} of its disk. "


def _left_out(plan: RunPlan) -> str:
    """Return how many experiments are not shown; nothing where all are."""
    num_more = len(plan.examples) - MOST_ROWS
    return f"{counted(num_more, 'more experiment is', 'more experiments are')} not shown. " if num_more > 0 else ""


def _how_searched(plan: RunPlan) -> str:
    """Return what a search draws, which the table shows the ends of; nothing where there is none."""
    if plan.search is None:
        return ""
    drawn = ", ".join(f"{name} from {distribution}" for name, distribution in plan.search.distributions.items())
    a_round = counted(plan.search.round_size, "experiment")
    return f"The ends of what {plan.search.sampler} draws, {a_round} a round: {drawn}. "


def estimated_seconds(seconds_per_trial: Sequence[float], num_folds: int, num_slots: int) -> float:
    """Return how long all folds of all experiments take on the slots; at least the longest trial."""
    if not seconds_per_trial:
        return 0.0
    return max(math.fsum(seconds_per_trial) * num_folds / num_slots, *seconds_per_trial, 0.0)
