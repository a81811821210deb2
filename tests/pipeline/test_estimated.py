from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.config import Hyperparameters
from kaggle_ray.pipeline import estimated, plan_table
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.estimate import Estimate


def test_experiments_that_differ_in_what_takes_no_time_are_timed_once(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []

    def estimate(competition: Any, samples: Any, hyperparameters: Hyperparameters, settings: Any) -> Estimate:
        timed.append(hyperparameters.training.epochs)
        return Estimate(trial_s=hyperparameters.training.epochs)

    monkeypatch.setattr(estimated, "estimate", estimate)
    experiments = [{**TINY, "epochs": epochs, "lr": lr} for epochs in (2, 5) for lr in (1e-2, 3e-3, 1e-3)]
    plan = make_plan(RunOptions(competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=experiments))
    estimates = estimated.estimates_of(plan)
    assert timed == [2, 5]
    assert [estimates[each.experiment_id].trial_s for each in plan.experiments] == [2, 2, 2, 5, 5, 5]


def test_of_thousands_of_experiments_the_first_are_shown_and_the_others_counted(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_table, "MOST_ROWS", 2)
    experiments = [{**TINY, "lr": lr} for lr in (1e-2, 3e-3, 1e-3, 3e-4)]
    plan = make_plan(RunOptions(competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=experiments))
    table = plan_table.plan_table(plan, dict.fromkeys((each.experiment_id for each in plan.examples), Estimate()))
    assert table.row_count == 2
    assert "4 experiments x 2 folds" in str(table.title)
    assert str(table.caption).startswith("2 more experiments are not shown. 8 trials")
