from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from kaggle_ray.combine import COMBINERS
from kaggle_ray.combine.convex import convex_weights
from kaggle_ray.combine.greedy import Greedy
from kaggle_ray.errors import DataError
from kaggle_ray.metrics import AUC, LOG_LOSS, RMSE, Metric
from kaggle_ray.types import Float64Array, FloatArray, IntArray, Target

Members = dict[str, FloatArray]
FOLDS: IntArray = np.arange(600) % 3


def of_classes(num_members: int = 4) -> tuple[Members, IntArray]:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 600)
    logits = (target[:, np.newaxis] == np.arange(3)) * 1.5 + rng.normal(size=(num_members, 600, 3))
    values = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return {f"e{number}": of for number, of in enumerate(values.astype(np.float32))}, target


def of_labels() -> tuple[Members, IntArray]:
    """Return two members, each of which knows one of two labels."""
    rng = np.random.default_rng(1)
    target = rng.integers(0, 2, (600, 2))
    skills = np.array([[2.0, 0.0], [0.0, 2.0]])
    logits = skills[:, np.newaxis, :] * (2 * target - 1) + rng.normal(size=(2, 600, 2))
    return {f"e{n}": of for n, of in enumerate((1 / (1 + np.exp(-logits))).astype(np.float32))}, target


def fitted_score(name: str, members: Members, target: Target, metric: Metric) -> float:
    fitted = COMBINERS[name]().fit(members, target, FOLDS, metric)
    return metric.score(target, fitted.predict(members))


def test_convex_weights_are_at_the_minimum_that_a_search_without_gradient_finds() -> None:
    members, target = of_classes()
    weights = convex_weights(members, target)

    def loss(free: Float64Array) -> float:
        shares = np.exp(free - free.max()) / np.exp(free - free.max()).sum()
        return LOG_LOSS.score(target, sum(share * of for share, of in zip(shares, members.values(), strict=True)))

    found = minimize(loss, np.zeros(4), method="Nelder-Mead", options={"maxiter": 2000, "fatol": 1e-10})
    blended = sum(weight * of for weight, of in zip(weights, members.values(), strict=True))
    assert LOG_LOSS.score(target, np.asarray(blended)) == pytest.approx(found.fun, abs=1e-5)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()


def test_convex_weights_of_numbers_are_those_of_the_least_squared_error() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=600)
    noise = rng.normal(size=(2, 600, 1)) * np.array([1.0, 2.0])[:, np.newaxis, np.newaxis]
    members = {f"e{n}": (target[:, np.newaxis] + of).astype(np.float32) for n, of in enumerate(noise)}
    assert convex_weights(members, target) == pytest.approx([0.8, 0.2], abs=0.05), "the inverse of their variances"


@pytest.mark.parametrize("name", ["geometric", "power", "logistic", "convex", "per_label", "bagged", "tempered"])
@pytest.mark.parametrize("is_of_classes", [True, False])
def test_every_way_is_better_than_the_worst_member(name: str, is_of_classes: bool) -> None:
    members, target = of_classes() if is_of_classes else of_labels()
    worst = max(LOG_LOSS.score(target, of) for of in members.values())
    assert fitted_score(name, members, target, LOG_LOSS) < worst


def test_votes_are_the_share_of_the_members() -> None:
    members, target = of_classes()
    votes = COMBINERS["vote"]().fit(members, target, FOLDS, LOG_LOSS).predict(members)[:]
    answers = np.stack([of.argmax(axis=1) for of in members.values()])
    assert votes == pytest.approx(np.stack([(answers == label).mean(axis=0) for label in range(3)], axis=1))


def test_weights_of_each_label_take_each_label_from_whoever_knows_it() -> None:
    members, target = of_labels()
    assert (
        fitted_score("per_label", members, target, LOG_LOSS) < fitted_score("convex", members, target, LOG_LOSS) - 0.02
    )
    assert fitted_score("logistic", members, target, LOG_LOSS) < fitted_score("mean", members, target, LOG_LOSS)


def test_ranks_ignore_the_scale_of_a_member() -> None:
    members, target = of_labels()
    members = {name: of[:, :1] for name, of in members.items()}
    squeezed = {**members, "e1": members["e1"] ** 9}
    scores = [fitted_score("rank", each, target[:, 0], AUC) for each in (members, squeezed)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    assert abs(scores[1] - fitted_score("mean", squeezed, target[:, 0], AUC)) > 1e-3


def test_ridge_takes_numbers_back_to_their_scale() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=600)
    members = {
        "a": (3 * target[:, np.newaxis] + 5).astype(np.float32),
        "b": rng.normal(size=(600, 1)).astype(np.float32),
    }
    assert fitted_score("ridge", members, target, RMSE) < 0.05


@pytest.mark.parametrize("name", ["geometric", "power", "vote", "logistic", "tempered"])
def test_what_is_for_probabilities_refuses_numbers_by_name(name: str) -> None:
    members = {each: np.array([[3.0], [-1.0], [2.0]], dtype=np.float32) for each in ("a", "b")}
    with pytest.raises(DataError, match=f"ensemble '{name}': expected probabilities"):
        COMBINERS[name]().fit(members, np.array([3.0, -1.0, 2.0]), np.zeros(3, dtype=np.int64), RMSE)


def test_a_class_without_a_row_is_never_the_stackers_answer() -> None:
    members, target = of_classes()
    seen = target != 2
    some = {name: of[seen] for name, of in members.items()}
    fitted = COMBINERS["logistic"]().fit(some, target[seen], FOLDS[seen], LOG_LOSS)
    assert np.asarray(fitted.predict(members)[:])[:, 2].max() < 1e-6
    assert LOG_LOSS.score(target[seen], fitted.predict(some)) < LOG_LOSS.score(target[seen], some["e0"])


def test_bags_spread_the_weight_over_more_members_than_one_selection() -> None:
    members, target = of_classes(12)
    bagged, greedy = (COMBINERS[each]().fit(members, target, FOLDS, LOG_LOSS).weights for each in ("bagged", "greedy"))
    assert len(bagged) >= len(greedy)
    assert dict(greedy) == dict(Greedy().fit(members, target, FOLDS, LOG_LOSS).weights)
