"""What a round adds to a run: the same for the same history, better than chance, and nothing twice."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from kaggle_ray import SearchSpace, choice, int_uniform, log_uniform, uniform
from kaggle_ray.config import Hyperparameters, Search
from kaggle_ray.errors import ConfigError
from kaggle_ray.schedule.propose import GivenExperiments, Scored, SearchProposer
from kaggle_ray.schedule.searchers import SEARCHERS
from kaggle_ray.types import Experiment, short_digest

SPACE = SearchSpace(
    experiments=[{"model": "resnet9"}, {"model": "small_resnet"}],
    search={
        "lr": log_uniform(1e-4, 1),
        "momentum": uniform(0, 0.9),
        "epochs": int_uniform(1, 20),
        "ema_decay": choice([0.0, 0.9]),
    },
)


def experiment_of(hyperparameters: Hyperparameters) -> Experiment:
    values = hyperparameters.to_dict()
    return Experiment(experiment_id=short_digest(values), name="", hyperparameters=values)


def search_of(space: SearchSpace = SPACE, *, sampler: str = "random", **named: Any) -> Search:
    defaults: dict[str, Any] = {"num_experiments": 24, "round_size": 6, "seed": 0}
    points = tuple(point.to_dict() for point in space.expand())
    return Search(points=points, distributions=space.search, sampler=sampler, **{**defaults, **named})


def proposer_of(search: Search, *, greater_is_better: bool = False) -> SearchProposer:
    return SearchProposer(search, experiment_of, greater_is_better=greater_is_better)


def loss_of(experiment: Experiment) -> float:
    """Return 0 at best, with lr 0.01, momentum 0.6, resnet9 and a moving average."""
    values = experiment.hyperparameters
    lr, momentum = float(str(values["lr"])), float(str(values["momentum"]))
    others = (values["model"] == "small_resnet") + (values["ema_decay"] == 0.0)
    return (math.log10(lr) + 2) ** 2 + 4 * (momentum - 0.6) ** 2 + 0.3 * others


def searched(search: Search, score: Callable[[Experiment], float], *, greater_is_better: bool = False) -> list[Scored]:
    proposer, history = proposer_of(search, greater_is_better=greater_is_better), list[Scored]()
    while proposed := proposer.propose(len(history) // search.round_size, tuple(history)):
        history += [Scored(experiment=each, scores={0: score(each)}) for each in proposed]
    return history


def ids(experiments: Sequence[Experiment]) -> list[str]:
    return [each.experiment_id for each in experiments]


def test_given_experiments_are_all_proposed_in_the_first_round_and_never_again() -> None:
    experiments = tuple(Experiment(experiment_id=each, name=each, hyperparameters={}) for each in "abc")
    proposer = GivenExperiments(experiments)
    assert proposer.propose(0, ()) == experiments
    assert proposer.propose(1, [Scored(experiment=each, scores={0: 1.0}) for each in experiments]) == ()


OF_ALL = [pytest.param(each, marks=[pytest.mark.slow] if each == "gp" else []) for each in SEARCHERS]
"""A Gaussian process takes seconds to propose a point, where others take milliseconds."""


@pytest.mark.parametrize("sampler", OF_ALL)
def test_a_search_proposes_as_many_as_it_is_asked_for_and_none_twice(sampler: str) -> None:
    history = searched(search_of(sampler=sampler, num_experiments=10, round_size=4), loss_of)
    assert len(history) == 10
    assert len(set(ids([each.experiment for each in history]))) == 10


@pytest.mark.parametrize("sampler", OF_ALL)
def test_the_same_history_gives_the_same_proposals_and_another_seed_gives_others(sampler: str) -> None:
    history = searched(search_of(num_experiments=6), loss_of)
    # each is of a proposer that knows of no earlier round
    again = [proposer_of(search_of(sampler=sampler, round_size=2)).propose(3, history) for _ in range(2)]
    assert again[0] == again[1]
    others = proposer_of(search_of(sampler=sampler, round_size=2, seed=1)).propose(3, history)
    assert not set(ids(others)) & set(ids(again[0]))


@pytest.mark.parametrize(
    ("sampler", "num_experiments", "num_seeds"), [("tpe", 36, 3), pytest.param("gp", 18, 2, marks=pytest.mark.slow)]
)
def test_a_sampler_that_learns_finds_better_points_than_chance(
    sampler: str, num_experiments: int, num_seeds: int
) -> None:
    best = {
        name: np.mean(
            [
                min(map(loss_of, (each.experiment for each in searched(search, loss_of))))
                for seed in range(num_seeds)
                for search in [search_of(sampler=name, num_experiments=num_experiments, seed=seed)]
            ]
        )
        for name in ("random", sampler)
    }
    assert best[sampler] < 0.5 * best["random"]


def test_scores_of_either_direction_lead_to_the_same_proposals() -> None:
    search = search_of(sampler="tpe", num_experiments=18)
    down = searched(search, loss_of)
    up = searched(search, lambda experiment: -loss_of(experiment), greater_is_better=True)
    assert ids([each.experiment for each in down]) == ids([each.experiment for each in up])


def test_proposals_do_not_depend_on_which_folds_an_experiment_has() -> None:
    search = search_of(sampler="tpe")
    history = searched(search_of(sampler="tpe", num_experiments=12), loss_of)
    folds = [{fold: float(loss_of(each.experiment)) + 10 * fold for fold in range(3)} for each in history]
    whole = [Scored(experiment=each.experiment, scores=scores) for each, scores in zip(history, folds, strict=True)]
    partial = [
        Scored(experiment=each.experiment, scores={fold: each.scores[fold] for fold in range(1 + number % 3)})
        for number, each in enumerate(whole)
    ]
    assert proposer_of(search).propose(2, partial) == proposer_of(search).propose(2, whole)


def test_what_failed_or_was_stopped_without_a_score_is_told_as_the_worst() -> None:
    """A space whose upper half fails: the sampler keeps away from it."""
    space = SearchSpace(search={"lr": uniform(0.01, 1), "momentum": uniform(0, 0.9)})
    search = search_of(space, sampler="tpe", num_experiments=30)
    proposer, history = proposer_of(search), list[Scored]()
    while proposed := proposer.propose(len(history) // 6, tuple(history)):
        for each in proposed:
            lr = float(str(each.hyperparameters["lr"]))
            fails = lr > 0.5
            history.append(Scored(experiment=each, scores={} if fails else {0: 1.0 - lr}, is_stopped=fails))
    failed = [not each.scores for each in history]
    assert sum(failed[:6]) >= 2, "else there is nothing to learn"
    assert np.mean(failed[12:]) < np.mean(failed[:6])


@pytest.mark.parametrize("sampler", OF_ALL)
def test_a_space_with_few_points_is_proposed_whole_and_then_no_more(sampler: str) -> None:
    space = SearchSpace(search={"augment": choice(["none", "light", "heavy"]), "epochs": int_uniform(1, 2)})
    history = searched(search_of(space, sampler=sampler, num_experiments=24, round_size=4), lambda _: 1.0)
    assert len(history) == 6


def test_values_that_contradict_each_other_are_not_proposed() -> None:
    space = SearchSpace(
        base={"schedule": "snapshot"},
        search={"epochs": choice([8, 2]), "schedule_args": choice([{"num_cycles": 2}, {"num_cycles": 4}])},
    )
    history = searched(search_of(space, num_experiments=24), loss_of_nothing)
    found = [
        (each.experiment.hyperparameters["epochs"], each.experiment.hyperparameters["schedule_args"])
        for each in history
    ]
    assert len(found) == 3
    assert (2, {"num_cycles": 4}) not in found


def test_draws_spread_over_the_whole_space_where_it_is_filled_evenly() -> None:
    space = SearchSpace(search={"momentum": uniform(0, 0.8)})
    history = searched(search_of(space, sampler="sobol", num_experiments=8, round_size=4), loss_of_nothing)
    values = sorted(float(str(each.experiment.hyperparameters["momentum"])) for each in history)
    assert [int(value / 0.1) for value in values] == list(range(8)), "two rounds go on with one sequence"


def loss_of_nothing(experiment: Experiment) -> float:
    return 0.0


def test_without_optuna_its_samplers_are_refused_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ConfigError, match=r"--search tpe: needs Optuna.*kaggle-ray\[search\].*--search random or sobol"
    ):
        proposer_of(search_of(sampler="tpe"))
    assert len(proposer_of(search_of()).propose(0, ())) == 6


def test_proposing_by_tpe_imports_no_torch() -> None:
    program = (
        "import sys\n"
        "from tests.schedule.test_propose import proposer_of, search_of\n"
        "assert proposer_of(search_of(sampler='tpe')).propose(0, ())\n"
        "assert 'optuna' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
