from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.config.settings import Machine
from kaggle_ray.errors import ConfigError, RunMismatchError
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.testing.toy import TINY, TOY_FILE

MakePlan = Callable[..., RunPlan]


def toy_options(data: Path, runs: Path, **named: Any) -> RunOptions:
    defaults: dict[str, Any] = {"launcher": "local", "device": "cpu", "threads": 1, "dtype": "float32"}
    return RunOptions(competition=TOY_FILE, data=data, runs=runs, **{**defaults, **named})


@pytest.fixture
def plan_with(toy_data: Path, tmp_path: Path) -> MakePlan:
    def make(**named: Any) -> RunPlan:
        return make_plan(toy_options(toy_data, tmp_path, **named))

    return make


def begin(plan: RunPlan) -> None:
    prepare(plan, None)


# Limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "reserve"), [(100.0, 10.0), (300.0, 30.0), (10_000.0, 30.0), (0.0, 0.0)])
def test_some_of_the_budget_is_kept_for_the_ensemble_and_the_report(
    plan_with: MakePlan, monkeypatch: pytest.MonkeyPatch, budget: float, reserve: float
) -> None:
    monkeypatch.setattr("time.time", lambda: 5000.0)
    assert plan_with(budget=budget).stop_at == 5000.0 + budget - reserve


def test_the_earlier_of_budget_and_deadline_counts(plan_with: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 5000.0)
    assert plan_with().stop_at is None
    assert plan_with(budget=100.0, deadline=6000.0).stop_at == 5090.0
    assert plan_with(budget=2000.0, deadline=5100.0).stop_at == 5090.0


# A share of a GPU --------------------------------------------------------------------------------------------------


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaggle_ray.config.settings.Machine.here", lambda: Machine(num_cpus=8, num_gpus=2))


SHARED: dict[str, Any] = {"launcher": "ray", "device": None, "threads": None, "address": "local"}


@pytest.mark.usefixtures("two_gpus")
def test_trials_that_share_a_gpu_are_as_many_more_and_compute_the_same(plan_with: MakePlan) -> None:
    whole, halves = plan_with(**SHARED), plan_with(**SHARED, gpus_per_trial=0.5)
    assert (whole.num_slots, whole.settings.threads_per_trial) == (2, 4)
    assert (halves.num_slots, halves.settings.threads_per_trial) == (4, 2)
    named = {**SHARED, "threads": 2}
    assert plan_with(**named, gpus_per_trial=0.5).run_id == plan_with(**named).run_id
    assert plan_with(**named, gpus_per_trial=0.5, num_slots=3).num_slots == 3


def test_several_trials_at_once_are_refused_where_one_follows_the_other(plan_with: MakePlan) -> None:
    with pytest.raises(ConfigError, match="--slots 2: --launcher local runs one trial after the other"):
        plan_with(launcher="local", num_slots=2)


@pytest.mark.usefixtures("two_gpus")
def test_a_share_of_a_gpu_is_refused_where_it_could_not_be_had(plan_with: MakePlan) -> None:
    with pytest.raises(ConfigError, match=r"--gpus-per-trial 0\.5: this run's trials take no GPU, but --device cpu"):
        plan_with(**{**SHARED, "device": "cpu"}, gpus_per_trial=0.5)
    with pytest.raises(ConfigError, match=r"each of the 2 processes of a trial needs a whole GPU"):
        plan_with(**SHARED, processes=2, gpus_per_trial=0.5)
    with pytest.raises(ConfigError, match=r"--gpus-per-trial: only --launcher ray runs several trials at once"):
        plan_with(**{**SHARED, "launcher": "local"}, gpus_per_trial=0.5)
    for out_of_range, expected in ((0, "at least 0.01"), (-1.0, "at least 0.01"), (1.5, "at most 1")):
        with pytest.raises(ConfigError, match=rf"--gpus-per-trial {out_of_range}: expected {expected}"):
            plan_with(**SHARED, gpus_per_trial=out_of_range)


def test_only_ray_has_a_dashboard(plan_with: MakePlan) -> None:
    with pytest.raises(ConfigError, match=r"--dashboard: only --launcher ray has Ray's dashboard"):
        plan_with(launcher="local", dashboard=True)


def test_a_fast_dev_run_takes_no_share_of_a_gpu(plan_with: MakePlan, caplog: pytest.LogCaptureFixture) -> None:
    assert plan_with(launcher="ray", fast_dev=True, gpus_per_trial=0.5).options.gpus_per_trial == 1
    assert "--fast-dev: gpus_per_trial is ignored" in caplog.text


# Run ids ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", ["a/b", "../a", "..", ".hidden", "", "a b", "a\\b", "a\n", "a:b", "/etc", "~"])
def test_a_run_id_that_is_no_plain_folder_name_is_an_error(plan_with: MakePlan, run_id: str) -> None:
    with pytest.raises(ConfigError, match=r"--run-id .*: expected letters, digits"):
        plan_with(run_id=run_id)


@pytest.mark.parametrize("run_id", ["a", "2024-01-01", "first_try.2"])
def test_a_run_id_names_the_folder(plan_with: MakePlan, tmp_path: Path, run_id: str) -> None:
    assert Path(plan_with(run_id=run_id).location) == tmp_path / "toy" / run_id


def test_the_same_command_has_the_same_run_id(plan_with: MakePlan, tmp_path: Path) -> None:
    first, second = plan_with(), plan_with(launcher="ray", address="local", num_slots=7, budget=5.0)
    assert first.run_id == second.run_id, "slots and budget change nothing of what is computed"
    assert Path(first.location) == tmp_path / "toy" / first.run_id


def test_runs_that_compute_something_else_have_another_run_id(plan_with: MakePlan) -> None:
    hyperparameter_sets = [{**TINY, "epochs": 1, "lr": lr} for lr in (0.1, 0.2)]
    plans = [
        plan_with(),
        plan_with(threads=2),
        plan_with(dtype="bfloat16"),
        plan_with(overrides={"epochs": 3}),
        plan_with(experiments=hyperparameter_sets),
        plan_with(experiments=hyperparameter_sets[:1]),
    ]
    assert len({plan.run_id for plan in plans}) == len(plans)


def test_experiments_and_a_space_together_are_an_error(plan_with: MakePlan) -> None:
    with pytest.raises(ConfigError, match="experiments or a space, got both"):
        plan_with(experiments=[TINY], space="dogs_vs_cats")


# Resuming by run id -----------------------------------------------------------------------------------------------


def test_what_the_user_leaves_open_is_taken_from_the_run_on_resume(plan_with: MakePlan) -> None:
    begun = plan_with(run_id="x", threads=3, dtype="bfloat16", overrides={"epochs": 5})
    begin(begun)
    resumed = plan_with(run_id="x", threads=None, dtype=None, device=None)
    assert resumed.settings == begun.settings
    assert resumed.experiments == begun.experiments
    assert resumed.identity == begun.identity


def test_a_default_space_that_has_changed_since_is_that_of_another_run(
    toy_data: Path, tmp_path: Path, plan_with: MakePlan
) -> None:
    """The competition's file holds it, and the file's source is what a run is made of."""
    begin(plan_with(run_id="x"))
    edited = tmp_path / "edited.py"
    edited.write_text(TOY_FILE.read_text().replace('"lr": [1e-2, 1e-3]', '"lr": [5e-2]'))
    again = make_plan(dataclasses.replace(toy_options(toy_data, tmp_path, run_id="x"), competition=edited))
    with pytest.raises(RunMismatchError, match=r"competition file: toy\.py is gone"):
        begin(again)


@pytest.mark.parametrize(
    ("named", "what"),
    [
        ({"threads": 2}, "settings"),
        ({"dtype": "bfloat16"}, "settings"),
        ({"overrides": {"epochs": 3}}, "hyperparameters epochs"),
        ({"experiments": [{**TINY, "epochs": 1}]}, "experiments"),
    ],
)
def test_a_resume_with_something_else_named_is_refused_before_anything_is_trained(
    toy_data: Path, tmp_path: Path, plan_with: MakePlan, named: dict[str, Any], what: str
) -> None:
    begin(plan_with(run_id="x"))
    with pytest.raises(RunMismatchError, match=f"was started with other {what}"):
        execute(toy_options(toy_data, tmp_path, run_id="x", **named))
    assert not list((tmp_path / "toy" / "x").glob("trials/*/fold*"))


def test_a_tuple_among_the_hyperparameters_is_no_other_experiment_than_a_list(plan_with: MakePlan) -> None:
    hyperparameter_sets = [
        [{**TINY, "epochs": 1, "model_args": {"width": 4, "blocks": blocks}}] for blocks in ([1], (1,))
    ]
    plans = [plan_with(experiments=hyperparameters) for hyperparameters in hyperparameter_sets]
    assert plans[0].run_id == plans[1].run_id
    for plan in plans:
        begin(plan)


def test_a_run_of_a_gpu_is_not_resumed_where_there_is_none(
    plan_with: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    begun = plan_with(run_id="x")
    begin(dataclasses.replace(begun, settings=dataclasses.replace(begun.settings, device="cuda")))
    with pytest.raises(ConfigError, match="started on a GPU, and none is visible"):
        plan_with(run_id="x", device=None)


# The model's own image size -----------------------------------------------------------------------------------------


def test_an_image_size_of_0_becomes_the_models_own_before_ids_and_cache_see_it(plan_with: MakePlan) -> None:
    plain = {"epochs": 1, "aspect": 0.5}
    plan = plan_with(
        experiments=[
            {**plain, "model": "efficientnet_b2", "image_size": 0},
            {**plain, "model": "vit_b_32", "model_args": {"image_size": 64}, "image_size": 0, "train_size": 32},
        ]
    )
    assert [experiment.hyperparameters["image_size"] for experiment in plan.experiments] == [288, 64]
    assert plan.image_sides == ((64, 32), (288, 144))


def test_an_own_size_that_is_named_as_well_is_one_experiment(plan_with: MakePlan) -> None:
    sized = plan_with(experiments=[{"model": "resnet18", "image_size": 224}])
    own = plan_with(experiments=[{"model": "resnet18", "image_size": size} for size in (0, 224)])
    assert own.run_id == sized.run_id
    assert len(own.experiments) == 1


def test_a_parent_of_its_own_size_is_found_by_its_child(plan_with: MakePlan) -> None:
    child = {"model": "resnet18", "image_size": 0, "epochs": 2, "init_from": {"epochs": 1}}
    parent, heir = plan_with(experiments=[child]).experiments
    assert heir.parent_id == parent.experiment_id
    with pytest.raises(ConfigError, match="'init_from': expected an image_size of at least 1, got 0"):
        plan_with(experiments=[{"model": "resnet18", "init_from": {"image_size": 0}}])


def test_a_model_without_a_size_of_its_own_needs_one(plan_with: MakePlan) -> None:
    with pytest.raises(ConfigError, match=r"model 'small_resnet' has no image_size of its own\. Set image_size to a"):
        plan_with(experiments=[{**TINY, "image_size": 0}])


def test_a_train_size_above_the_models_own_is_an_error(plan_with: MakePlan) -> None:
    with pytest.raises(ConfigError, match=r"'train_size': expected from 0 to image_size, got 256"):
        plan_with(experiments=[{"model": "resnet18", "image_size": 0, "train_size": 256}])
