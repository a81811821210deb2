"""A slice of tests/benchmarks/meaning.py: the whole is 4,000 leaderboards."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).resolve().parent.parent / "benchmarks")


@pytest.fixture(scope="module")
def meaning() -> ModuleType:
    sys.path.insert(0, BENCHMARKS)
    try:
        return importlib.import_module("meaning")
    finally:
        sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("metric", ["log loss", "AUC", "log loss, groups of 8"])
def test_most_public_scores_lie_within_their_intervals_and_some_do_not(meaning: ModuleType, metric: str) -> None:
    # 60 leaderboards: 0.9 has a standard deviation of 0.039.
    assert 0.78 <= meaning.coverage(metric, 60, num_draws=100) < 1


def test_the_chosen_pair_has_the_private_best_more_often_than_the_usual_one(meaning: ModuleType) -> None:
    found = meaning.outcomes("log loss", 150)
    chosen, usual = (np.mean([getattr(each, name) for each in found]) for name in ("chosen_has_best", "usual_has_best"))
    assert chosen > usual
    assert abs(np.mean([each.chance for each in found]) - chosen) < 0.12
