"""The contract of a metric: call ``check_metric`` in a test of each one."""

from __future__ import annotations

import math

import numpy as np

from kaggle_ray.decide import default_score
from kaggle_ray.metrics import Metric
from kaggle_ray.types import FloatArray, Target


def check_metric(metric: Metric, target: Target, values: FloatArray) -> None:
    """Check what folds, ensembles and resumed runs rely on.

    Args:
        metric: of one task.
        target: (N,) or (N, T) a few rows of the task, N at least 2.
        values: (N, C) predictions that are right, or as right as can be: probabilities, numbers or masks.

    Raises:
        Exception: whatever the metric raised, or an AssertionError, with the name of the check.
    """
    for check in (
        _the_score_is_a_finite_number,
        _the_same_rows_score_the_same,
        _the_order_of_the_rows_does_not_count,
        _nothing_is_written_to,
        _nothing_scores_better_than_what_is_right,
    ):
        try:
            check(metric, target.copy(), values.astype(np.float32))
        except Exception as error:
            error.add_note(f"in the check {check.__name__.strip('_')!r} of the metric's contract")
            raise


def _the_score_is_a_finite_number(metric: Metric, target: Target, values: FloatArray) -> None:
    assert math.isfinite(default_score(metric, target, values))


def _the_same_rows_score_the_same(metric: Metric, target: Target, values: FloatArray) -> None:
    assert default_score(metric, target, values) == default_score(metric, target, values)


def _the_order_of_the_rows_does_not_count(metric: Metric, target: Target, values: FloatArray) -> None:
    turned = default_score(metric, target[::-1].copy(), values[::-1].copy())
    assert math.isclose(turned, default_score(metric, target, values), rel_tol=1e-9, abs_tol=1e-12)


def _nothing_is_written_to(metric: Metric, target: Target, values: FloatArray) -> None:
    before = target.copy(), values.copy()
    default_score(metric, target, values)
    assert np.array_equal(target, before[0])
    assert np.array_equal(values, before[1])


def _nothing_scores_better_than_what_is_right(metric: Metric, target: Target, values: FloatArray) -> None:
    """Rows that are given each other's predictions are no better off; where they are, a sign is the wrong way round."""
    right = default_score(metric, target, values)
    shifted = default_score(metric, target, np.roll(values, 1, axis=0))
    assert not metric.is_better(shifted, right), f"{shifted} is better than {right}: is greater_is_better right?"
