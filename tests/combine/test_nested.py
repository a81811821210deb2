from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.combine import Ensemble, select
from kaggle_ray.combine.combiner import WeightedMean, blend
from kaggle_ray.combine.fits import Blend, Fits
from kaggle_ray.combine.greedy import greedy_weights
from kaggle_ray.combine.nested import NestedScore, nested_score, parts_of
from kaggle_ray.decide import default_decision, fit_decision
from kaggle_ray.errors import DataError, IncompleteFoldsError, NothingToSubmitError
from kaggle_ray.metrics import ACCURACY, AUC, F2, LOG_LOSS, Metric
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
    fits = Fits(by_id(members), target, fold_of, metric)
    return nested_score(fits, partial(fits.blend, method))


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
            final=Blend(
                method="best", fitted=WeightedMean(weights={"e0": 1.0}), decision=default_decision(LOG_LOSS, 1)
            ),
            part_of=NO_ROWS,
            by_part={},
        ).optimism

    assert optimism(0.5, 0.25, greater_is_better=False) == 0.25
    assert optimism(0.5, 0.75, greater_is_better=True) == 0.25


@given(st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_selection_ignores_the_order_of_the_experiments(order: list[int]) -> None:
    members, target, fold_of = noisy_members(3, num_members=6, skill=0.8)
    members[4] = members[1]  # a tie
    expected = select({f"e{index}": members[index] for index in range(6)}, target, fold_of, LOG_LOSS, "greedy")
    ensemble = select({f"e{index}": members[index] for index in order}, target, fold_of, LOG_LOSS, "greedy")
    assert list(ensemble.weights.items()) == list(expected.weights.items())
    assert ensemble.score_honest == expected.score_honest
    assert ensemble.oof[:].tolist() == expected.oof[:].tolist()


def test_the_ensemble_reports_what_its_nested_score_is() -> None:
    members, target, fold_of = noisy_members(4, num_members=5)
    ensemble = select(by_id(members), target, fold_of, AUC, "greedy")
    nested = nested_of("greedy", members, target, fold_of, AUC)
    assert ensemble.method == "greedy"
    assert (ensemble.score_honest, ensemble.score_in_sample) == (nested.honest, nested.in_sample)
    assert ensemble.optimism == nested.optimism
    assert ensemble.score_honest == AUC.score(target, ensemble.oof)


def test_an_ensemble_has_no_honest_score_where_a_member_that_counts_is_unproven() -> None:
    members, target, fold_of = noisy_members(5, num_members=8, skill=0.8)
    members[0] = np.full_like(members[0], 0.5)
    named = by_id(members)
    proven = select(named, target, fold_of, LOG_LOSS, "greedy")
    count = set(proven.weights).union(*(blended.fitted.weights for blended in proven.by_part.values()))
    assert "e0" not in count
    assert select(named, target, fold_of, LOG_LOSS, "greedy", unproven={"e0"}).score_honest == proven.score_honest
    for member_id in count:
        unproven = select(named, target, fold_of, LOG_LOSS, "greedy", unproven={member_id})
        assert unproven.score_honest is None
        assert unproven.optimism is unproven.score_in_sample is None, "it is good for the optimism only"
        assert "had a say" in (unproven.why_no_score or "").replace("may have had, a say", "had a say")


def test_only_members_with_weight_are_kept_and_applied() -> None:
    members, target, fold_of = noisy_members(5, num_members=8, skill=0.8)
    members[0] = np.full_like(members[0], 0.5)
    named = by_id(members)
    ensemble = select(named, target, fold_of, LOG_LOSS, "greedy")
    assert "e0" not in ensemble.weights
    assert sum(ensemble.weights.values()) == pytest.approx(1.0)
    only_members = {experiment_id: named[experiment_id] for experiment_id in ensemble.weights}
    assert ensemble.apply(only_members)[:].tolist() == ensemble.apply(named)[:].tolist()
    assert LOG_LOSS.score(target, ensemble.apply(named)) == ensemble.score_in_sample


def test_there_is_nothing_to_submit_without_members() -> None:
    with pytest.raises(NothingToSubmitError, match="Run the same command again"):
        select({}, NO_ROWS, NO_ROWS, LOG_LOSS, "greedy")


def test_members_of_different_shape_are_named() -> None:
    members, target, fold_of = noisy_members(6, num_members=2)
    with pytest.raises(DataError, match=r"'a': \(60, 1\), 'b': \(60, 2\)"):
        select({"a": members[0], "b": np.hstack(members)}, target, fold_of, LOG_LOSS, "greedy")


def test_applying_without_a_member_names_it() -> None:
    members, _, _ = noisy_members(6, num_members=2)
    ensemble = Ensemble(
        method="mean",
        combiner="mean",
        fitted=WeightedMean(weights={"a": 0.5, "b": 0.5}),
        score_honest=0.0,
        standard_error=None,
        score_in_sample=0.0,
        optimism=0.0,
        oof=members[0],
        decision=default_decision(LOG_LOSS, 1),
        part_of=NO_ROWS,
        by_part={},
    )
    with pytest.raises(IncompleteFoldsError, match=r"missing \['b'\]"):
        ensemble.apply({"a": members[0]})


# Parts that learn from no others ------------------------------------------------------------------------------------


def members_by_time() -> tuple[dict[str, FloatArray], IntArray, IntArray]:
    """Return members of which ``early`` is good in the first span alone, and ``late`` in all later ones."""
    rng = np.random.default_rng(0)
    fold_of, target = np.repeat(np.arange(3), 200), rng.integers(0, 2, 600)
    good = np.clip(target + rng.normal(0, 0.3, 600), 0.05, 0.95)
    early, late = np.where(fold_of == 0, good, 0.5), np.where(fold_of == 0, 0.5, good)
    return {"early": early[:, None].astype(np.float32), "late": late[:, None].astype(np.float32)}, target, fold_of


@pytest.mark.parametrize("method", ["greedy", "best"])
def test_a_span_of_time_is_blended_by_what_was_learnt_from_earlier_ones(method: str) -> None:
    members, target, fold_of = members_by_time()
    ensemble = select(members, target, fold_of, LOG_LOSS, method, forward=True)
    assert dict(ensemble.by_part[0].fitted.weights) == {"early": 0.5, "late": 0.5}, "nothing is earlier"
    assert dict(ensemble.by_part[1].fitted.weights) == {"early": 1.0}
    changed = np.where(fold_of == 2, 1 - target, target)
    again = select(members, changed, fold_of, LOG_LOSS, method, forward=True)
    before = fold_of < 2
    assert again.oof[before].tolist() == ensemble.oof[before].tolist(), "the last span has no say in earlier ones"


def test_the_decision_of_a_span_of_time_is_fitted_on_earlier_ones() -> None:
    rng = np.random.default_rng(1)
    fold_of, target = np.repeat(np.arange(3), 80), rng.integers(0, 2, (240, 2))
    values = (0.3 * target + 0.1 + rng.uniform(0, 0.05, (240, 2))).astype(np.float32)
    ensemble = select({"a": values}, target, fold_of, F2, "greedy", forward=True)
    assert ensemble.decision_of(0) == default_decision(F2, 2)
    assert ensemble.decision_of(100) == fit_decision(F2, target[:80], values[:80])
    assert ensemble.decision_of(200) == fit_decision(F2, target[:160], values[:160])


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC, ACCURACY])
def test_a_holdout_is_scored_by_weights_that_never_saw_the_row(metric: Metric) -> None:
    members, target, _ = noisy_members(0, num_members=60)
    holdout = np.zeros(60, dtype=np.int64)
    nested = nested_of("greedy", members, target, holdout, metric)
    assert metric.is_better(nested.in_sample, nested.honest)
    assert set(nested.by_part) == set(range(5))
    assert np.bincount(nested.part_of[target == 1]).tolist() == [6] * 5, "classes are dealt evenly"
    for part, learnt in nested.by_part.items():
        others = nested.part_of != part
        names = sorted(by_id(members))
        expected = greedy_weights([by_id(members)[name][others] for name in names], target[others], metric)
        assert learnt.fitted == WeightedMean.of(names, expected)


def test_some_rows_of_a_holdout_are_dealt_into_parts_by_their_own_classes() -> None:
    target = np.repeat([0, 1, 2, 0], [10, 15, 5, 30])
    positions = np.arange(60)[10:]
    part_of = parts_of(np.zeros(50, dtype=np.int64), target, forward=False, positions=positions)
    for number in range(3):
        assert np.ptp(np.bincount(part_of[target[positions] == number], minlength=5)) <= 1


def test_what_a_holdout_scores_is_what_is_submitted() -> None:
    rng = np.random.default_rng(2)
    target = rng.integers(0, 2, (90, 2))
    values = (0.3 * target + 0.1 + rng.uniform(0, 0.05, (90, 2))).astype(np.float32)
    ensemble = select({"a": values}, target, np.zeros(90, dtype=np.int64), F2, "greedy")
    assert ensemble.score_honest == pytest.approx(1.0), "the default thresholds of 0.2 would do as badly as 0.5"
    assert ensemble.decision != default_decision(F2, 2)


def test_one_span_of_time_has_a_score_only_where_nothing_is_fitted() -> None:
    members, target, _ = noisy_members(0, num_members=6, skill=0.8)
    span = np.zeros(60, dtype=np.int64)
    fitted = select(by_id(members), target, span, LOG_LOSS, "greedy", forward=True)
    assert fitted.score_honest is fitted.score_in_sample is fitted.optimism is None
    assert "there are no others to fit on" in (fitted.why_no_score or "")
    mean = select(by_id(members), target, span, LOG_LOSS, "mean", forward=True)
    assert mean.score_honest == LOG_LOSS.score(target, mean.apply(by_id(members)))
    single = select({"e0": members[0]}, target, span, LOG_LOSS, "greedy", forward=True)
    assert single.score_honest == LOG_LOSS.score(target, members[0])


# The best of many ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "num_rows"), [(LOG_LOSS, 400), (ACCURACY, 200), (AUC, 300)])
def test_the_best_of_fifty_equals_is_scored_as_what_it_is_worth_on_new_rows(metric: Metric, num_rows: int) -> None:
    shown, honest, truth = [], [], []
    for seed in range(8):
        members, target, fold_of = noisy_members(seed, num_members=50, num_rows=num_rows + 4000, skill=0.8)
        seen = {name: member[:num_rows] for name, member in by_id(members).items()}
        ensemble = select(seen, target[:num_rows], fold_of[:num_rows], metric, "best")
        (chosen,) = ensemble.weights
        assert ensemble.score_honest is not None
        shown.append(metric.score(target[:num_rows], seen[chosen]))
        honest.append(ensemble.score_honest)
        truth.append(metric.score(target[num_rows:], by_id(members)[chosen][num_rows:]))
    flattery, error = np.mean(np.subtract(shown, truth)), np.mean(np.subtract(honest, truth))
    assert (flattery > 0) == metric.greater_is_better
    assert abs(error) < 0.5 * abs(flattery)


def test_the_best_is_the_one_member_with_the_best_score() -> None:
    members, target, fold_of = noisy_members(7, num_members=9, skill=0.5)
    scores = [LOG_LOSS.score(target, member) for member in members]
    assert dict(select(by_id(members), target, fold_of, LOG_LOSS, "best").weights) == {f"e{np.argmin(scores)}": 1.0}
