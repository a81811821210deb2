from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.decide import default_decision
from kaggle_ray.ensemble import COMBINERS, Ensemble, select
from kaggle_ray.ensemble.combiner import WeightedMean
from kaggle_ray.ensemble.methods import blend, greedy_weights
from kaggle_ray.ensemble.nested import Blend, NestedScore, nested_score
from kaggle_ray.errors import DataError, IncompleteFoldsError, NothingToSubmitError
from kaggle_ray.metrics import ACCURACY, AUC, LOG_LOSS, Metric
from kaggle_ray.types import FloatArray, IntArray

NO_ROWS: IntArray = np.zeros(0, dtype=np.int64)


def noisy_members(
    seed: int, *, num_members: int, num_rows: int = 60, skill: float = 0.3
) -> tuple[list[FloatArray], IntArray, IntArray]:
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(num_rows) % 2)
    logits = skill * (2 * target - 1) + rng.normal(size=(num_members, num_rows))
    members = (1 / (1 + np.exp(-logits))).astype(np.float32)[:, :, np.newaxis]
    return list(members), target, rng.permutation(np.arange(num_rows) % 5)


def by_id(members: Sequence[FloatArray]) -> dict[str, FloatArray]:
    return {f"e{index}": member for index, member in enumerate(members)}


def nested_of(
    method: str, members: Sequence[FloatArray], target: IntArray, fold_of: IntArray, metric: Metric
) -> NestedScore:
    return nested_score(COMBINERS[method](), by_id(members), target, fold_of, metric)


@pytest.mark.parametrize("method", ["mean", "greedy"])
@pytest.mark.parametrize("metric", [LOG_LOSS, AUC, ACCURACY])
def test_honest_equals_in_sample_for_one_member(method: str, metric: Metric) -> None:
    (member,), target, fold_of = noisy_members(0, num_members=1)
    nested = nested_of(method, [member], target, fold_of, metric)
    assert nested.honest == nested.in_sample == metric.score(target, member)
    assert nested.optimism == 0
    assert nested.oof[:].tolist() == member.tolist()


def test_honest_equals_in_sample_for_the_mean_because_nothing_is_fitted() -> None:
    members, target, fold_of = noisy_members(0, num_members=7)
    nested = nested_of("mean", members, target, fold_of, LOG_LOSS)
    assert nested.honest == nested.in_sample


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC])
def test_in_sample_flatters_a_selection_among_60_noise_members(metric: Metric) -> None:
    members, target, fold_of = noisy_members(0, num_members=60)
    nested = nested_of("greedy", members, target, fold_of, metric)
    assert metric.is_better(nested.in_sample, nested.honest)
    assert nested.optimism > 0.01


def test_honest_score_of_skilful_members_is_near_the_score_on_new_rows() -> None:
    members, target, fold_of = noisy_members(1, num_members=60, num_rows=2000)
    nested = nested_of("greedy", [member[:400] for member in members], target[:400], fold_of[:400], LOG_LOSS)
    on_new_rows = LOG_LOSS.score(target[400:], nested.final.fitted.predict(by_id([member[400:] for member in members])))
    assert abs(nested.honest - on_new_rows) < abs(nested.in_sample - on_new_rows)


def test_a_fold_is_blended_with_weights_that_never_saw_its_labels() -> None:
    members, target, fold_of = noisy_members(2, num_members=10)
    held_out = fold_of == 3
    flipped = np.where(held_out, 1 - target, target)
    nested = nested_of("greedy", members, flipped, fold_of, LOG_LOSS)
    weights = greedy_weights([member[~held_out] for member in members], target[~held_out], LOG_LOSS)
    assert nested.oof[held_out].tolist() == blend([member[held_out] for member in members], weights)[:].tolist()


def test_optimism_is_positive_where_in_sample_looks_better() -> None:
    members, _, _ = noisy_members(0, num_members=1)

    def optimism(honest: float, in_sample: float, *, greater_is_better: bool) -> float:
        return NestedScore(
            honest=honest,
            in_sample=in_sample,
            greater_is_better=greater_is_better,
            oof=members[0],
            final=Blend(fitted=WeightedMean(weights={"e0": 1.0}), decision=default_decision(LOG_LOSS, 1)),
            by_fold={},
        ).optimism

    assert optimism(0.5, 0.25, greater_is_better=False) == 0.25
    assert optimism(0.5, 0.75, greater_is_better=True) == 0.25


@given(st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_selection_ignores_the_order_of_the_experiments(order: list[int]) -> None:
    members, target, fold_of = noisy_members(3, num_members=6, skill=0.8)
    members[4] = members[1]  # a tie
    expected = select({f"e{index}": members[index] for index in range(6)}, target, fold_of, LOG_LOSS)
    ensemble = select({f"e{index}": members[index] for index in order}, target, fold_of, LOG_LOSS)
    assert list(ensemble.weights.items()) == list(expected.weights.items())
    assert ensemble.score_honest == expected.score_honest
    assert ensemble.oof[:].tolist() == expected.oof[:].tolist()


def test_the_ensemble_reports_what_its_nested_score_is() -> None:
    members, target, fold_of = noisy_members(4, num_members=5)
    ensemble = select(by_id(members), target, fold_of, AUC)
    nested = nested_of("greedy", members, target, fold_of, AUC)
    assert ensemble.method == "greedy"
    assert (ensemble.score_honest, ensemble.score_in_sample) == (nested.honest, nested.in_sample)
    assert ensemble.optimism == nested.optimism
    assert ensemble.score_honest == AUC.score(target, ensemble.oof)


def test_an_ensemble_has_no_honest_score_where_a_member_that_counts_is_unproven() -> None:
    members, target, fold_of = noisy_members(5, num_members=8, skill=0.8)
    members[0] = np.full_like(members[0], 0.5)
    named = by_id(members)
    proven = select(named, target, fold_of, LOG_LOSS)
    count = set(proven.weights).union(*(blended.fitted.weights for blended in proven.by_fold.values()))
    assert "e0" not in count
    assert select(named, target, fold_of, LOG_LOSS, unproven={"e0"}).score_honest == proven.score_honest
    for member_id in count:
        unproven = select(named, target, fold_of, LOG_LOSS, unproven={member_id})
        assert unproven.score_honest is None
        assert unproven.optimism is None
        assert unproven.score_in_sample == proven.score_in_sample


def test_only_members_with_weight_are_kept_and_applied() -> None:
    members, target, fold_of = noisy_members(5, num_members=8, skill=0.8)
    members[0] = np.full_like(members[0], 0.5)
    named = by_id(members)
    ensemble = select(named, target, fold_of, LOG_LOSS)
    assert "e0" not in ensemble.weights
    assert sum(ensemble.weights.values()) == pytest.approx(1.0)
    only_members = {experiment_id: named[experiment_id] for experiment_id in ensemble.weights}
    assert ensemble.apply(only_members)[:].tolist() == ensemble.apply(named)[:].tolist()
    assert LOG_LOSS.score(target, ensemble.apply(named)) == ensemble.score_in_sample


def test_there_is_nothing_to_submit_without_members() -> None:
    with pytest.raises(NothingToSubmitError, match="Run the same command again"):
        select({}, NO_ROWS, NO_ROWS, LOG_LOSS)


def test_members_of_different_shape_are_named() -> None:
    members, target, fold_of = noisy_members(6, num_members=2)
    with pytest.raises(DataError, match=r"'a': \(60, 1\), 'b': \(60, 2\)"):
        select({"a": members[0], "b": np.hstack(members)}, target, fold_of, LOG_LOSS)


def test_applying_without_a_member_names_it() -> None:
    members, _, _ = noisy_members(6, num_members=2)
    ensemble = Ensemble(
        method="mean",
        fitted=WeightedMean(weights={"a": 0.5, "b": 0.5}),
        score_honest=0.0,
        score_in_sample=0.0,
        optimism=0.0,
        oof=members[0],
        decision=default_decision(LOG_LOSS, 1),
        by_fold={},
    )
    with pytest.raises(IncompleteFoldsError, match=r"missing \['b'\]"):
        ensemble.apply({"a": members[0]})
