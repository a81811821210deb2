from __future__ import annotations

import numpy as np
import pytest

from kaggle_ray.combine import AUTO, select
from kaggle_ray.combine.choice import chosen_of
from kaggle_ray.metrics import ACCURACY, AUC, LOG_LOSS, RMSE, Jackknifed, Metric, jackknife
from kaggle_ray.types import FloatArray, IntArray

Pool = tuple[dict[str, FloatArray], IntArray, IntArray]


def pool(seed: int, skills: list[float], *, num_rows: int = 400, shared: float = 0.0) -> Pool:
    """Return members of given skills; ``shared`` of the noise is the same in all of them."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(num_rows) % 2)
    noise = shared * rng.normal(size=num_rows) + (1 - shared) * rng.normal(size=(len(skills), num_rows))
    logits = np.array(skills)[:, np.newaxis] * (2 * target - 1) + noise
    values = (1 / (1 + np.exp(-logits))).astype(np.float32)[:, :, np.newaxis]
    return {f"e{number}": of for number, of in enumerate(values)}, target, rng.permutation(np.arange(num_rows) % 5)


def scored(gain: float, noise: float) -> Jackknifed:
    """Return a score that differs from 0 by ``gain``, with a standard error of ``noise``."""
    return Jackknifed(score=gain, without=gain + noise * np.array([1.0, -1.0]))


def test_what_is_simple_stays_unless_the_gain_exceeds_the_noise() -> None:
    simple = {"best": scored(0.0, 0.0), "mean": scored(-0.1, 0.0)}
    assert chosen_of({**simple, "greedy": scored(0.9, 1.0)}, AUC) == "best"
    assert chosen_of({**simple, "greedy": scored(1.1, 1.0)}, AUC) == "greedy"
    assert chosen_of({**simple, "greedy": scored(1.1, 1.0)}, LOG_LOSS) == "mean", "smaller is better"
    unknown = Jackknifed(score=9.0, without=None)
    assert chosen_of({**simple, "greedy": unknown}, AUC) == "best", "a gain whose noise is not known is none"
    alike = {"best": scored(0.0, 5.0), "mean": scored(-0.1, 5.0), "greedy": scored(0.1, 5.0)}
    assert chosen_of(alike, AUC) == "greedy", "what all have in common is no noise of their difference"
    several = {**simple, "convex": scored(2.0, 5.0), "greedy": scored(1.1, 1.0)}
    assert chosen_of(several, AUC) == "greedy", "one that may be luck does not hide another"


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC, ACCURACY])
def test_one_good_member_among_bad_ones_is_taken_alone(metric: Metric) -> None:
    members, target, fold_of = pool(0, [2.0, 0.0, 0.0, 0.0])
    ensemble = select(members, target, fold_of, metric, AUTO)
    alone = select({"e0": members["e0"]}, target, fold_of, metric, "mean")
    assert (ensemble.method, set(ensemble.weights)) == (AUTO, {"e0"})
    assert ensemble.score_honest is not None
    assert alone.score_honest is not None
    if ensemble.combiner == "tempered":  # the one that is taken may be less sure than it is right
        assert metric is LOG_LOSS
        assert ensemble.score_honest < alone.score_honest
    else:
        assert ensemble.score_honest == alone.score_honest


def test_the_mean_of_equals_is_taken_and_its_score_is_the_means() -> None:
    members, target, fold_of = pool(1, [0.8] * 12)
    ensemble = select(members, target, fold_of, ACCURACY, AUTO)
    assert ensemble.combiner == "mean"
    assert ensemble.score_honest == select(members, target, fold_of, ACCURACY, "mean").score_honest


def test_weights_are_taken_where_they_are_worth_it() -> None:
    members, target, fold_of = pool(2, [1.0] * 4 + [-0.2] * 8, num_rows=2000)
    ensemble = select(members, target, fold_of, LOG_LOSS, AUTO)
    assert ensemble.combiner not in ("best", "mean")
    assert {"e0", "e1", "e2", "e3"} <= set(ensemble.weights)


def test_the_choice_for_a_fold_never_saw_its_labels() -> None:
    members, target, fold_of = pool(3, [0.5, 0.6, 0.7, 0.4, 0.2])
    changed = np.where(fold_of == 2, 1 - target, target)
    before, after = (select(members, each, fold_of, LOG_LOSS, AUTO) for each in (target, changed))
    held_out = fold_of == 2
    assert before.oof[held_out].tolist() == after.oof[held_out].tolist()
    assert before.by_part[2].is_same(after.by_part[2])


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC])
def test_no_ensemble_is_worse_than_its_best_member_by_more_than_noise(metric: Metric) -> None:
    losses, errors = [], []
    for seed in range(6):
        skills = np.random.default_rng(seed).normal(0.8, 0.4, size=6).tolist()
        members, target, fold_of = pool(seed, skills, num_rows=200, shared=0.9)
        best, chosen = (select(members, target, fold_of, metric, method) for method in ("best", AUTO))
        assert chosen.score_honest is not None
        assert best.score_honest is not None
        losses.append((best.score_honest - chosen.score_honest) * (1 if metric.greater_is_better else -1))
        errors.append(chosen.standard_error)
    assert all(loss <= error for loss, error in zip(losses, errors, strict=True) if error is not None)
    assert None not in errors


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC, RMSE])
def test_the_standard_error_is_the_spread_over_other_samples(metric: Metric) -> None:
    scores, errors = [], []
    for seed in range(60):
        members, target, fold_of = pool(seed, [0.8], num_rows=200)
        found = jackknife(metric, target, members["e0"], fold_of)
        scores.append(found.score)
        errors.append(found.standard_error)
        assert found.score == metric.score(target, members["e0"])
    assert np.mean([error for error in errors if error is not None]) == pytest.approx(np.std(scores), rel=0.2)


def test_without_the_only_row_of_a_class_no_standard_error_is_claimed() -> None:
    target = np.arange(40) == 7
    found = jackknife(AUC, target.astype(np.int64), np.linspace(0, 1, 40)[:, np.newaxis], np.zeros(40, dtype=np.int64))
    assert found.standard_error is None
