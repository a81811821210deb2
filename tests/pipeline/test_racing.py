"""A race through ``kaggle_ray.run``: what it stops, what it submits, what a resume does, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.errors import ConfigError, RunMismatchError, StoreError
from kaggle_ray.report.collect import board_of
from kaggle_ray.report.explain import explain
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE

EXPERIMENTS: list[dict[str, Any]] = [{**TINY, "epochs": 3, "lr": lr} for lr in (3e-2, 1e-2, 1e-6)]


def race(data: Path, runs: Path, **options: Any) -> kaggle_ray.RunResult:
    return kaggle_ray.run(
        TOY_FILE, EXPERIMENTS, data=data, runs=runs, run_id="x", device="cpu", threads=1, launcher="local",
        reporters=[], **{"policy": "race", **options},
    )  # fmt: skip


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> kaggle_ray.RunResult:
    return race(toy_data, tmp_path_factory.mktemp("racing"))


def test_what_has_no_chance_of_a_weight_is_stopped_and_said_to_be(raced: kaggle_ray.RunResult) -> None:
    assert raced.run_dir is not None
    store = open_run(raced.run_dir)
    hopeless = store.experiments()[2]
    assert raced.ensemble is not None
    assert hopeless.experiment_id not in raced.ensemble.weights
    why = explain(store, hopeless.name)
    assert why.startswith(f"{hopeless.name} was stopped before round 1: On fold 0 it has weight in ")
    row = next(row for row in board_of(store).rows if row.name == hopeless.name)
    assert row.folds_done == 1
    assert row.error is not None
    assert row.error in why
    with pytest.raises(StoreError, match="is no experiment of it"):
        explain(store, "zebra")


def test_a_resume_of_a_race_trains_nothing_and_submits_the_same_bytes(
    raced: kaggle_ray.RunResult, toy_data: Path
) -> None:
    assert raced.run_dir is not None
    before = raced.submission.read_bytes()
    again = race(toy_data, raced.run_dir.parent.parent)
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == before
    with pytest.raises(RunMismatchError, match="--policy"):
        race(toy_data, raced.run_dir.parent.parent, policy="forgiving")


def test_a_policy_and_a_source_of_ones_own_are_refused(toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a policy or a source"):
        race(toy_data, tmp_path, source=kaggle_ray.ListSource)
