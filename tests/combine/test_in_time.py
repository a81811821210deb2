"""Ensembling that has to end in time."""

from __future__ import annotations

import numpy as np
import pytest

from kaggle_ray.combine import AUTO, Ensemble, Fits, TimeLeft, in_time, select_from
from kaggle_ray.combine.choice import candidates
from kaggle_ray.metrics import AUC, LOG_LOSS, Metric

ELABORATE = ("greedy", "geometric", "convex", "tempered")


class Clock:
    """Moves on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> float:
        self.seconds += 1
        return float(self.seconds)


def pool(metric: Metric = LOG_LOSS, *, num_rows: int = 400) -> Fits:
    rng = np.random.default_rng(3)
    target = rng.permutation(np.arange(num_rows) % 2)
    skills = np.array([1.0] * 3 + [-0.2] * 4)[:, np.newaxis]
    values = (1 / (1 + np.exp(rng.normal(size=(7, num_rows)) - skills * (2 * target - 1)))).astype(np.float32)
    members = {f"e{number}": of[:, np.newaxis] for number, of in enumerate(values)}
    return Fits(members, target, rng.permutation(np.arange(num_rows) % 5), metric)


def facts(made: Ensemble) -> tuple[object, ...]:
    return made.method, made.combiner, dict(made.weights), made.score_honest, made.standard_error, made.oof[:].tobytes()


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC])
@pytest.mark.parametrize("method", [AUTO, "bagged"])
def test_where_there_is_time_enough_the_ensemble_is_that_without_a_limit(metric: Metric, method: str) -> None:
    time_left = TimeLeft(1e6, now=lambda: 0.0)
    made = select_from(pool(metric), method, time_left=time_left)
    assert not time_left.left_out
    assert facts(made) == facts(select_from(pool(metric), method))
    assert made.combiner not in ("best", "mean"), "so that something was at stake"


def test_without_time_the_mean_is_taken_and_all_else_is_named() -> None:
    time_left = TimeLeft(0.0, now=lambda: 5.0)
    made = select_from(pool(), AUTO, time_left=time_left)
    assert facts(made) == (AUTO, *facts(select_from(pool(), "mean"))[1:])
    assert time_left.left_out.keys() == {"best or mean", *candidates(pool())} == {"best or mean", *ELABORATE}
    assert all("0.0 s were left" in why for why in time_left.left_out.values())


def test_with_time_for_what_is_simple_alone_the_better_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_time, "choice_s", lambda fits, method: 9.0 if method in ELABORATE else 1.0)
    monkeypatch.setattr(in_time, "cost_of", lambda fits, method: None)
    time_left = TimeLeft(10.0, now=lambda: 5.0)
    made = select_from(pool(), AUTO, time_left=time_left)
    assert facts(made) == facts(select_from(pool(), AUTO, elaborate=()))
    assert time_left.left_out == dict.fromkeys(ELABORATE, "estimated to take 9.0 s, and 5.0 s were left")


def test_a_method_that_there_is_no_time_for_gives_way_to_what_is_simple() -> None:
    time_left = TimeLeft(0.0, now=lambda: 5.0)
    made = select_from(pool(), "bagged", time_left=time_left)
    assert (made.method, list(time_left.left_out)) == ("bagged", ["bagged", "best or mean"])
    assert facts(made)[1:] == facts(select_from(pool(), "mean"))[1:]


def test_the_cheapest_are_learnt_first_and_what_takes_longer_than_it_seemed_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {"greedy": 3.0, "geometric": 1.0, "convex": 1000.0}
    monkeypatch.setattr(in_time, "choice_s", lambda fits, method: seconds.get(method, 0.0))
    monkeypatch.setattr(in_time, "cost_of", lambda fits, method: None)
    looks_of_one = 3 + 5 * 5 + 5  # its estimate; before each fit and each score of 6 choices of 5 parts or 4
    looks_of_simple = 2 * (6 + 5 * 5)  # before each fit and each score of the same choices, of the best and the mean
    fits, time_left = pool(), TimeLeft(looks_of_simple + looks_of_one + 12.0, now=Clock())
    assert in_time.learnt_in_time(fits, tuple(seconds), time_left) == ("geometric",)
    assert time_left.left_out == {"greedy": "time was up", "convex": "estimated to take 1000 s, and 0.0 s were left"}
    everything = np.ones(400, dtype=np.bool_)
    assert fits.has("greedy", fits.fold_of != 0), "it was begun"
    assert not fits.has("convex", everything)
    made = select_from(fits, AUTO, elaborate=("geometric",))
    assert facts(made) == facts(select_from(pool(), AUTO, elaborate=("geometric",)))


def test_a_choice_of_what_is_simple_that_takes_longer_than_it_seemed_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_time, "choice_s", lambda fits, method: 1.0)
    monkeypatch.setattr(in_time, "cost_of", lambda fits, method: None)
    time_left = TimeLeft(20.0, now=Clock())
    made = select_from(pool(), AUTO, time_left=time_left)
    assert facts(made)[1:] == facts(select_from(pool(), "mean"))[1:]
    assert time_left.left_out["best or mean"] == "time was up"
    assert time_left.left_out.keys() == {"best or mean", *ELABORATE}


def test_what_follows_has_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_time, "choice_s", lambda fits, method: 1.0)
    monkeypatch.setattr(in_time, "cost_of", lambda fits, method: in_time.Cost(fit_s=1.0, score_s=20.0))
    assert in_time.learnt_in_time(pool(), ELABORATE, TimeLeft(50.0, now=lambda: 5.0)) == ELABORATE
    assert in_time.learnt_in_time(pool(), ELABORATE, TimeLeft(50.0, now=lambda: 10.0)) is None


def test_an_estimate_is_for_all_rows_by_a_sample_and_a_quarter_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_time, "_timed", lambda fits, method, num_rows: (1.0 + num_rows / 1000, 0.5))
    cost = in_time.cost_of(pool(num_rows=100_000), "greedy")
    assert cost is not None
    assert (cost.fit_s, cost.score_s) == pytest.approx((1.5 * 101, 1.5 * 0.5))
    cost = in_time.cost_of(pool(num_rows=400), "greedy", num_rows=1_000_000)
    assert cost is not None
    assert cost.fit_s == pytest.approx(1.5 * 1001)


def test_what_was_learnt_already_is_not_estimated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_time, "_timed", lambda fits, method, num_rows: (1.0, 0.0))
    fits = pool()
    assert in_time.nested_s(fits, "greedy") == pytest.approx(1.5 * 6)
    assert in_time.choice_s(fits, "greedy") == pytest.approx(1.5 * (1 + 5 + 10))
    fits.blend("greedy", np.ones(400, dtype=np.bool_))
    assert in_time.nested_s(fits, "greedy") == pytest.approx(1.5 * 5)
