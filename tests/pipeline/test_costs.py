from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.pipeline.costs import costs_of
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue, ModelSize, Trial, TrialResult

RESNET: dict[str, JsonValue] = {
    **TINY, "model": "resnet18", "model_args": {}, "pretrained": True, "head": {"pooling": "avg"},
}  # fmt: skip
PROBE: dict[str, JsonValue] = {**RESNET, "freeze": "backbone"}
STAGES: dict[str, JsonValue] = {**RESNET, "freeze": "stages", "freeze_stages": 3}


def test_an_epoch_of_a_larger_network_costs_more_and_a_probe_least(toy_data: Path, tmp_path: Path) -> None:
    experiments = [{**TINY, "model_args": {"width": width, "blocks": [1, 1, 1]}} for width in (8, 32)]
    plan = make_plan(RunOptions(competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=[*experiments, PROBE]))
    found = costs_of(plan, plan.experiments, ())
    small, large, of_probe = (found.epochs[each.experiment_id] for each in plan.experiments)
    assert of_probe < small < large


def test_an_epoch_costs_what_is_behind_the_kept_stages_and_more_where_they_are_computed_anew(
    toy_data: Path, tmp_path: Path
) -> None:
    of_image: dict[str, JsonValue] = {"augment": "heavy"}
    experiments = [PROBE, STAGES, {**PROBE, **of_image}, {**STAGES, **of_image}, RESNET]
    plan = make_plan(RunOptions(competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=experiments))
    found = costs_of(plan, plan.experiments, ())
    probe, stages, probe_anew, stages_anew, whole = (found.epochs[each.experiment_id] for each in plan.experiments)
    assert probe < stages < stages_anew < whole
    assert probe < probe_anew < whole


def test_features_cost_once_for_all_that_take_them_and_copies_from_their_epoch_on(
    toy_data: Path, tmp_path: Path
) -> None:
    copies: dict[str, JsonValue] = {"augment": "light", "augment_copies": 2}
    experiments = [PROBE, {**PROBE, "lr": 1e-4, "tta": "hflip"}, {**STAGES, **copies}, RESNET]
    plan = make_plan(RunOptions(competition=TOY_FILE, data=toy_data, runs=tmp_path, experiments=experiments))
    found = costs_of(plan, plan.experiments, ()).features
    plain, mirrored, of_copies = (found[each.experiment_id] for each in plan.experiments[:3])
    assert [len(of_epoch) for of_epoch in (*plain, *mirrored, *of_copies)] == [1, 2, 2, 1]
    assert plain[0].items() <= mirrored[0].items()
    assert not plain[0].keys() & of_copies[0].keys()
    assert 0 < max(of_copies[0].values()) < min(plain[0].values()), "the first stages alone"
    assert plan.experiments[3].experiment_id not in found


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
    costs = costs_of(plan, plan.experiments, [result]).epochs
    assert costs.keys() == {trained}, f"{other} is as the mean"
