from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.combine.combiner import blend
from kaggle_ray.combine.greedy import greedy_weights
from kaggle_ray.metrics import ACCURACY, AUC, LOG_LOSS, Metric
from kaggle_ray.types import Float64Array, FloatArray, IntArray


def random_members(
    seed: int, *, num_members: int = 6, num_rows: int = 40, num_columns: int = 1
) -> tuple[list[FloatArray], IntArray]:
    """Values are multiples of 1/1024, so that float64 sums are exact in any order."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(num_rows) % max(num_columns, 2))
    truth = (target[:, np.newaxis] == np.arange(num_columns)) if num_columns > 1 else target[:, np.newaxis]
    noisy = 0.4 * truth + rng.uniform(0.05, 0.55, (num_members, num_rows, num_columns))
    return list((np.round(noisy * 1024) / 1024).astype(np.float32)), target


def naive_greedy_weights(
    members: list[FloatArray], target: IntArray, metric: Metric, *, max_steps: int = 25
) -> Float64Array:
    def score(chosen: list[int]) -> float:
        mean = np.mean([members[index].astype(np.float64) for index in chosen], axis=0)
        return metric.score(target, mean.astype(np.float32))

    path: list[list[int]] = [[]]
    for _ in range(max_steps):
        candidates = [[*path[-1], index] for index in range(len(members))]
        scores = [score(candidate) for candidate in candidates]
        best = max(scores) if metric.greater_is_better else min(scores)
        path.append(candidates[scores.index(best)])
    scores = [score(chosen) for chosen in path[1:]]
    best = max(scores) if metric.greater_is_better else min(scores)
    winner = path[1 + scores.index(best)]
    return np.array([winner.count(index) / len(winner) for index in range(len(members))])


def test_mean_of_one_member_is_that_member() -> None:
    (member,), _ = random_members(0, num_members=1)
    assert blend([member], np.ones(1))[:].tolist() == member.tolist()


def test_blend_is_summed_in_float64_and_returned_in_float32() -> None:
    members = [np.full((1, 1), 0.1, dtype=np.float32)] * 1000
    blended = blend(members, np.full(1000, 1 / 1000))[:]
    assert blended.dtype == np.float32
    assert blended[0, 0] == np.float32(0.1)


def test_blend_wants_one_weight_per_member() -> None:
    members, _ = random_members(0, num_members=2)
    with pytest.raises(ValueError, match="shorter"):
        blend(members, np.ones(1))


@given(
    seed=st.integers(0, 10**6),
    num_columns=st.sampled_from([1, 3]),
    metric=st.sampled_from([LOG_LOSS, ACCURACY, AUC]),
    max_steps=st.integers(1, 8),
)
@settings(max_examples=30, deadline=None)
def test_greedy_agrees_with_a_literal_reference(seed: int, num_columns: int, metric: Metric, max_steps: int) -> None:
    members, target = random_members(seed, num_columns=1 if metric is AUC else num_columns)
    weights = greedy_weights(members, target, metric, max_steps=max_steps)
    assert weights.tolist() == naive_greedy_weights(members, target, metric, max_steps=max_steps).tolist()


@given(seed=st.integers(0, 10**6), metric=st.sampled_from([LOG_LOSS, ACCURACY, AUC]))
@settings(max_examples=20, deadline=None)
def test_greedy_is_never_worse_in_sample_than_the_best_single_member(seed: int, metric: Metric) -> None:
    members, target = random_members(seed)
    blended = metric.score(target, blend(members, greedy_weights(members, target, metric)))
    assert not any(metric.is_better(metric.score(target, member), blended) for member in members)


def test_greedy_agrees_with_the_reference_over_a_path_of_40_members() -> None:
    rng = np.random.default_rng(1)
    target = np.arange(400) % 2
    logits = (2 * target - 1) + rng.normal(scale=3, size=(30, 400))
    members = list((np.round(1024 / (1 + np.exp(-logits))) / 1024).astype(np.float32)[:, :, np.newaxis])
    weights = greedy_weights(members, target, LOG_LOSS, max_steps=40)
    assert weights[weights > 0].min() < 1 / 16, "the best prefix is longer than 16"
    assert weights.sum() == pytest.approx(1.0)
    assert weights.tolist() == naive_greedy_weights(members, target, LOG_LOSS, max_steps=40).tolist()


def test_greedy_with_replacement_can_weigh_a_good_member_more() -> None:
    target = np.array([0, 1, 0, 1])
    good = np.array([[0.1], [0.9], [0.4], [0.6]], dtype=np.float32)
    other = np.array([[0.5], [0.5], [0.01], [0.99]], dtype=np.float32)
    weights = greedy_weights([other, good], target, LOG_LOSS)
    assert weights[1] > weights[0] > 0


def test_of_equal_members_greedy_takes_the_first_alone() -> None:
    (member,), target = random_members(3, num_members=1)
    assert greedy_weights([member, member.copy(), member.copy()], target, LOG_LOSS).tolist() == [1.0, 0.0, 0.0]


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_permuting_the_members_permutes_the_weights(order: list[int]) -> None:
    members, target = random_members(5)
    weights = greedy_weights(members, target, LOG_LOSS)
    assert greedy_weights([members[index] for index in order], target, LOG_LOSS).tolist() == weights[order].tolist()


@pytest.mark.parametrize("num_columns", [1, 3])
def test_log_loss_is_selected_by_bounds_as_it_is_by_scoring_every_mean(num_columns: int) -> None:
    rng = np.random.default_rng(num_columns)
    target = rng.integers(0, max(num_columns, 2), 2000)
    truth = target[:, None] == (np.arange(num_columns) if num_columns > 1 else np.ones(1))
    logits = rng.normal(1, 0.1, (60, 1, 1)) * (2 * truth - 1) + rng.normal(size=(60, *truth.shape)) * 1.5
    values = 1 / (1 + np.exp(-logits))
    values = values / values.sum(axis=2, keepdims=True) if num_columns > 1 else values
    members = list(values.astype(np.float32))
    asked = dataclasses.replace(LOG_LOSS, score_fn=lambda target, values: LOG_LOSS.score_fn(target, values))
    weights = greedy_weights(members, target, LOG_LOSS, max_steps=50)
    assert (weights > 0).sum() > 1
    assert weights.tolist() == greedy_weights(members, target, asked, max_steps=50).tolist()


def test_auc_of_many_rows_is_selected_by_a_sample_and_confirmed_on_all() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 20_000)
    skills = rng.normal(0.6, 0.3, (60, 1))
    members = list((skills * (2 * target - 1) + rng.normal(size=(60, 20_000))).astype(np.float32)[:, :, None])
    asked = dataclasses.replace(AUC, score_fn=lambda target, values: AUC.score_fn(target, values))
    weights = greedy_weights(members, target, AUC, max_steps=6)
    assert weights.tolist() == greedy_weights(members, target, asked, max_steps=6).tolist()
