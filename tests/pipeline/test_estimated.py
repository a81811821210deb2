from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.config import Hyperparameters
from kaggle_ray.launch.by_name import LauncherName
from kaggle_ray.pipeline import estimated, plan_table
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train import estimate as estimating
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


@pytest.mark.parametrize(
    ("launcher", "minutes"),
    [("local", "2:20 in all, of which starting takes 2:00"), ("ray", "10:20 in all, of which starting takes 10:00")],
)
def test_the_whole_time_has_that_of_the_processes_that_start(
    launcher: LauncherName, minutes: str, toy_data: Path, tmp_path: Path
) -> None:
    plan = make_plan(
        RunOptions(
            competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=[TINY], launcher=launcher, num_slots=1
        )
    )
    of_each = Estimate(trial_s=10.0, start_s=30.0)
    table = plan_table.plan_table(plan, {each.experiment_id: of_each for each in plan.examples}, imports_s=90.0)
    assert minutes in str(table.caption)


def test_epochs_are_timed_until_a_time_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.1, 0.2, 0.6, 0.7])
    monkeypatch.setattr("kaggle_ray.train.estimate.time.perf_counter", lambda: next(clock))
    assert estimating._seconds_per_epoch(iter(range(5))) == pytest.approx(0.2)
