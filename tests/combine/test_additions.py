"""Selections that do not score every mean choose just what those choose that do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kaggle_ray.combine import additions
from kaggle_ray.combine.additions import best_addition_of
from kaggle_ray.combine.greedy import greedy_weights
from kaggle_ray.metrics import AUC, LOG_LOSS, Metric
from kaggle_ray.types import Float64Array, FloatArray, IntArray


def pool(num_members: int, num_rows: int, num_columns: int, *, decimals: int = 9) -> tuple[list[FloatArray], IntArray]:
    """Return members of differing skill; of few decimals many of their predictions are equal."""
    rng = np.random.default_rng(num_columns)
    target = rng.integers(0, max(2, num_columns), num_rows)
    truth = (target[:, np.newaxis] == np.arange(num_columns)) if num_columns > 1 else target[:, np.newaxis] == 1
    shared = rng.normal(size=truth.shape)
    members: list[FloatArray] = []
    for _ in range(num_members):
        powers = np.exp(rng.normal(1, 0.1) * (2.0 * truth - 1) + 0.6 * shared + rng.normal(size=truth.shape))
        values = powers / powers.sum(axis=1, keepdims=True) if num_columns > 1 else powers / (1 + powers)
        members.append(values.round(decimals).astype(np.float32))
    return members, target


def by_every_mean(members: list[FloatArray], target: IntArray, metric: Metric, num_steps: int) -> Float64Array:
    unknown = dataclasses.replace(metric, score_fn=lambda target, values: metric.score_fn(target, values))
    assert best_addition_of(members, target, unknown) is None
    return greedy_weights(members, target, unknown, max_steps=num_steps)


@pytest.mark.parametrize("tried", [0.01, 1.0])
@pytest.mark.parametrize(("num_columns", "decimals"), [(1, 9), (1, 2), (4, 9), (4, 1)])
def test_the_selection_by_bounds_is_that_by_every_mean(
    num_columns: int, decimals: int, tried: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(additions, "_TRIED_SHARE", tried)
    members, target = pool(60, 400, num_columns, decimals=decimals)
    found = greedy_weights(members, target, LOG_LOSS, max_steps=50)
    assert found.tolist() == by_every_mean(members, target, LOG_LOSS, 50).tolist()
    assert (found > 0).sum() > 3


def test_the_selection_by_rows_nearby_is_that_by_every_mean() -> None:
    members, target = pool(30, additions._SAMPLE_ROWS + 500, 1)
    assert best_addition_of(members, target, AUC) is not None
    found = greedy_weights(members, target, AUC, max_steps=50)
    assert found.tolist() == by_every_mean(members, target, AUC, 50).tolist()
    assert (found > 0).sum() > 10


def test_a_bound_of_any_step_is_no_more_than_the_score_of_the_mean() -> None:
    members, target = pool(30, 300, 1)
    of_truth = additions._of_truth(members, target)
    total = np.zeros(300, dtype=np.float32)
    tangents = []
    for step in range(1, 20):
        total += of_truth[step % 5]
        tangents.append(additions._Tangent.at(total / np.float32(step), of_truth))
        losses = -np.log((total + of_truth) / (step + 1)).mean(axis=1)
        for tangent in tangents:
            assert (tangent.bounds(total, step) <= losses + 1e-5).all()
