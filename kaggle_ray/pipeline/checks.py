"""What a run would stop at after hours, looked at before it trains."""

from __future__ import annotations

from collections.abc import Sequence

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine.suits import check_suits
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.data.baseline import check_directions, mixed_predictions
from kaggle_ray.errors import DataError, NothingToSubmitError
from kaggle_ray.images.datasets import open_target, unreadable_of
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.store.opening import open_run
from kaggle_ray.submission.submit import REHEARSED_MASKS
from kaggle_ray.types import Experiment


def check_plan(plan: RunPlan) -> tuple[Rows, int]:
    """Check what a run of ``plan`` would stop at before it trains; return its target, and the masks decoded for it now.

    Raises:
        ConfigError: a model, recipe or loss is unknown, or does not fit.
        NothingToSubmitError: no experiment can get an honest score.
        DataError: the metric and the target contradict each other, masks do not decode, or the way to ensemble is for
            predictions of another kind.
    """
    check_proven(plan)
    if not plan.is_fast_dev:  # which finds it in seconds, and whose breakpoints are to stop at a batch, not at a check
        check_models(plan)
    target, num_decoded = open_target(plan.competition, plan.samples, default_cache_dir())
    check_directions(plan.competition.heads, target)
    check_ensemble(plan, target)
    return target, num_decoded


def rehearse(plan: RunPlan) -> None:
    """Do for ``--dry-run`` what a run does before it trains, and write nothing of it.

    Raises:
        KaggleRayError: as ``check_plan``; the sample submission is not what would be written, or images do not decode.
    """
    target, _ = check_plan(plan)
    plan.submitter(open_run(plan.location)).rehearse(plan.folds, target)
    unreadable = unreadable_of(plan.competition, plan.samples, default_cache_dir())
    if unreadable:
        raise DataError(
            f"{counted(len(unreadable), 'image')} cannot be decoded: {' '.join(list(unreadable.values())[:5])} "
            "Replace them, or leave them out with --skip-unreadable."
        )


def check_ensemble(plan: RunPlan, target: Rows) -> None:
    """Raise DataError where the way to ensemble that is named is for predictions of another kind.

    Args:
        plan: of the run.
        target: (N,) or (N, T) of all training rows.
    """
    few = select_rows(target, plan.folds.scored_rows()[: REHEARSED_MASKS if plan.competition.is_segmentation else None])
    made_up = mixed_predictions(plan.competition.heads, few)
    check_suits(plan.options.ensemble, {"made up": made_up}, few, plan.competition.metric)


def check_models(plan: RunPlan) -> None:
    """Raise ConfigError for an unknown model, recipe or loss before it is written down, let alone trained for hours.

    A run that was begun has passed.
    """
    if open_run(plan.location).record() is None:
        from kaggle_ray.pipeline.trainable import check_trainable  # with torch, which knows the models

        check_trainable(plan)


def check_proven(plan: RunPlan) -> None:
    """Raise NothingToSubmitError where no experiment can get an honest score, and none is admitted without one."""
    unproven = unproven_experiments(plan)
    if len(unproven) == len(plan.examples) and not plan.options.admit_unproven and plan.stop_at is None:
        raise NothingToSubmitError(f"nothing would be submitted: {why_unproven(unproven)}")


def why_unproven(experiments: Sequence[Experiment]) -> str:
    """Return in two sentences why experiments have no honest score, and what to do about it."""
    reasons = [parse_hyperparameters(each.hyperparameters, where=each.name).why_unproven for each in experiments]
    named = dict.fromkeys(reason or "the rows that are scored had a say in its weights" for reason in reasons)
    return (
        f"{counted(len(experiments), 'experiment has', 'experiments have')} no honest score: {'; '.join(named)}. "
        f"--admit-unproven submits them, without an honest score."
    )


def unproven_experiments(plan: RunPlan) -> list[Experiment]:
    """Return the experiments of a plan that have no honest score."""
    return [
        experiment
        for experiment in plan.examples
        if parse_hyperparameters(experiment.hyperparameters, where=experiment.name).why_unproven is not None
    ]
