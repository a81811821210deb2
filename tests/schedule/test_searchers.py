"""Searchers by name: ours keep to the contract, and so does one that a competition's file registers."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from kaggle_ray.config.search import Draw
from kaggle_ray.errors import ConfigError
from kaggle_ray.registry import registrations_undone
from kaggle_ray.schedule.searchers import SEARCHERS, Round, check_searcher, random_draws, register_searcher
from kaggle_ray.testing import searcher_contract


@pytest.mark.parametrize("name", ["random", "sobol", "tpe"])
def test_ours_keep_to_the_contract(name: str) -> None:
    searcher_contract.check_searcher(SEARCHERS[name])


def test_the_contract_tells_a_searcher_that_remembers() -> None:
    def at_random(of: Round) -> Iterator[Draw]:
        while True:
            yield {name: each.at(random.random()) for name, each in of.dimensions.items()}

    with pytest.raises(AssertionError, match="what else is random, or remembered"):
        searcher_contract.check_searcher(at_random)


def test_a_searcher_is_registered_and_a_misspelt_one_is_refused() -> None:
    with registrations_undone():
        register_searcher("mine")(random_draws)
        check_searcher("mine")
        with pytest.raises(ConfigError, match=r"unknown searcher 'min'\. Did you mean 'mine'\?"):
            check_searcher("min")
