from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.pipeline.epoch_costs import epoch_costs
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import ModelSize, Trial, TrialResult


def test_an_epoch_of_a_larger_network_costs_more_and_a_probe_least(toy_data: Path, tmp_path: Path) -> None:
    experiments = [{**TINY, "model_args": {"width": width, "blocks": [1, 1, 1]}} for width in (8, 32)]
    probe = {**TINY, "model": "timm/resnet18", "freeze": "backbone", "pretrained": True}
    plan = make_plan(RunOptions(competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=[*experiments, probe]))
    small, large, of_probe = (epoch_costs(plan, plan.experiments, ())[each.experiment_id] for each in plan.experiments)
    assert of_probe < small < large


def test_of_a_run_that_goes_on_the_costs_are_those_of_the_networks_that_were_trained(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = [{**TINY, "lr": lr} for lr in (1e-2, 1e-3)]
    plan = make_plan(RunOptions(competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=experiments))
    trained, other = (each.experiment_id for each in plan.experiments)
    result = TrialResult(
        trial=Trial(experiment_id=trained, fold=0),
        status="committed",
        attempt_id="a",
        model_size=ModelSize(num_parameters=100, num_layers=3, flops=1000),
    )
    monkeypatch.setattr("kaggle_ray.models.summary.summarise", None)
    costs = epoch_costs(plan, plan.experiments, [result])
    assert costs.keys() == {trained}, f"{other} is as the mean"
