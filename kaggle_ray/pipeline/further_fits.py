"""The fits that a run takes beside its trials: those of teachers that answer for rows which they have not seen."""

from __future__ import annotations

from collections.abc import Iterable

from kaggle_ray.config import Hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError
from kaggle_ray.types import Experiment, Folds

_LEAST_FOLDS = 3
"""Folds of which two may be left out, and some are left to train on."""


def check_out_of_fold(hyperparameters: Hyperparameters, folds: Folds) -> None:
    """Raise ConfigError where no teacher can be fitted without two of the folds."""
    if not hyperparameters.loss.distill_out_of_fold:
        return
    if folds.forward or folds.num_folds < _LEAST_FOLDS:
        got = "folds that follow each other in time" if folds.forward else counted(folds.num_folds, "fold")
        raise ConfigError(
            f"hyperparameter 'distill_out_of_fold': expected {_LEAST_FOLDS} folds or more, in no order, as teachers "
            f"are fitted without two of them, got {got}. Leave it out: teachers then answer for rows they have seen."
        )


def further_fits(experiments: Iterable[Experiment], num_folds: int) -> dict[str, int]:
    """Return the id of each teacher that is fitted without two folds, too -> how many such fits there are.

    Students on several machines may make some of them twice.
    """
    taught = [each.teacher_id for each in experiments if each.hyperparameters["distill_out_of_fold"]]
    return {teacher_id: num_folds * (num_folds - 1) // 2 for teacher_id in taught if teacher_id is not None}
