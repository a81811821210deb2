"""Epochs that are kept on request: their weights predict, and have no part in what the run scores and submits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kaggle_ray
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.experiments import make_experiments
from kaggle_ray.pipeline.fast_dev import one_epoch_of
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.status import status_of
from kaggle_ray.store.attempt import epochs_with_weights, kept_epochs
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.command_line import said
from kaggle_ray.testing.submitted import submitted_values
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import FULL_DATA, JsonValue, Trial

BASE: dict[str, JsonValue] = {**TINY, "epochs": 4, "lr": 2e-2, "schedule": "constant"}
KEEPS: dict[str, JsonValue] = {**BASE, "keep_epochs": [3, 1]}


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], **options: Any) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, launcher="local", reporters=[], device="cpu",
        **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> RunResult:
    """A run of an experiment that keeps two epochs, of one that is stopped short by them, and of a refit."""
    few: dict[str, JsonValue] = {**BASE, "model_args": {"width": 5, "blocks": [1]}, "epochs": 1}
    return run(tmp_path_factory.mktemp("kept"), toy_data, KEEPS, few, refit=True)


def weights_at(result: RunResult, epoch: int | None, fold: int | None = 0) -> Mapping[str, torch.Tensor]:
    name = result.plan.experiments[0].experiment_id
    return kaggle_ray.load_model(result.run_dir, name, fold, epoch=epoch).module.state_dict()


def same(weights: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_kept_epoch_is_what_a_run_of_so_many_epochs_ends_with(
    finished: RunResult, toy_data: Path, tmp_path: Path
) -> None:
    shorter = run(tmp_path, toy_data, {**BASE, "epochs": 3})
    assert same(weights_at(finished, 3), weights_at(shorter, None))
    assert not same(weights_at(finished, 1), weights_at(finished, 3))
    assert same(weights_at(finished, 4), weights_at(finished, None))  # the end, by its number
    assert not same(weights_at(finished, 3, None), weights_at(finished, None, None))  # of all rows


def test_kept_epochs_change_neither_members_nor_predictions(
    finished: RunResult, toy_data: Path, tmp_path: Path
) -> None:
    store = open_run(finished.run_dir)
    first = finished.plan.experiments[0].experiment_id
    assert [member for member in finished.pool.members if "@" in member] == []
    for fold in (0, 1, FULL_DATA):
        result = store.result(Trial(experiment_id=first, fold=fold))
        assert result is not None
        assert epochs_with_weights(result) == (1, 3)
        assert kept_epochs(result) == ()
        store.check(result)
    plain = run(tmp_path, toy_data, BASE)
    (plain_id,) = plain.pool.oof
    assert np.array_equal(plain.pool.oof[plain_id][:], finished.pool.oof[first][:])


def test_new_rows_are_predicted_by_a_kept_epoch(
    finished: RunResult, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, out = finished.plan.experiments[0].experiment_id, tmp_path / "new.csv"
    _, told, code = said(
        capsys, "predict", str(finished.run_dir), "--data", str(toy_data), "--competition", str(TOY_FILE),
        "--experiment", first, "--epoch", "3", "--out", str(out),
    )  # fmt: skip
    assert code == 0, told
    images = finished.plan.samples.test_paths
    at_3 = kaggle_ray.predict_proba(finished.run_dir, images, experiment=first, epoch=3)["target"][:, 1]
    at_4 = kaggle_ray.predict_proba(finished.run_dir, images, experiment=first)["target"][:, 1]
    assert np.allclose(submitted_values(out)[:, 0], at_3, atol=1e-6)
    assert not np.allclose(at_3, at_4, atol=1e-3)


def test_an_epoch_that_was_not_kept_is_refused_with_those_that_were(finished: RunResult, toy_data: Path) -> None:
    first = finished.plan.experiments[0].experiment_id
    with pytest.raises(ConfigError, match=r"fold0: epoch 2 was not kept, expected one of 1, 3, 4\. An experiment with"):
        kaggle_ray.load_model(finished.run_dir, first, 0, epoch=2)
    with pytest.raises(ConfigError, match=r"epoch 9 was not kept, .* It ended after 4\."):
        kaggle_ray.predict(finished.run_dir, data=toy_data, competition=TOY_FILE, experiment=first, epoch=9)
    with pytest.raises(ConfigError, match="epoch 3: expected the experiment that it is of"):
        kaggle_ray.predict(finished.run_dir, data=toy_data, competition=TOY_FILE, epoch=3)


def test_status_tells_what_weights_take(finished: RunResult) -> None:
    files = list(finished.run_dir.glob("trials/*/*/attempts/*/**/weights.safetensors"))
    assert status_of(open_run(finished.run_dir)).weights_bytes == sum(file.stat().st_size for file in files)
    assert len(files) >= 9  # three of each fold, and of all rows


def test_with_an_inner_split_the_last_epoch_can_be_kept_beside_the_chosen_one(tmp_path: Path, toy_data: Path) -> None:
    chosen = {**BASE, "epoch_rule": "inner", "lr": 0.3, "epochs": 5, "keep_epochs": [1, 2, 3, 4, 5]}
    result = run(tmp_path, toy_data, chosen)
    stored = open_run(result.run_dir).result(Trial(experiment_id=result.plan.experiments[0].experiment_id, fold=0))
    assert stored is not None
    assert same(weights_at(result, stored.epoch), weights_at(result, None))
    assert not same(weights_at(result, 1 if stored.epoch != 1 else 2), weights_at(result, None))


def test_what_only_predicts_otherwise_has_the_kept_epochs_too(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, KEEPS, {**KEEPS, "tta": "hflip"})
    first, second = (each.experiment_id for each in result.plan.experiments)
    assert result.plan.experiments[1].weights_of == first
    stored = open_run(result.run_dir).result(Trial(experiment_id=second, fold=1))
    assert stored is not None
    assert epochs_with_weights(stored) == (1, 3)


def test_keeping_epochs_changes_no_id_of_what_does_not(finished: RunResult) -> None:
    content, make = finished.plan.content, kaggle_ray.Hyperparameters
    plain, keeps, child = make_experiments(
        [make(**BASE), make(**KEEPS), make(**{**KEEPS, "init_from": {"epochs": 3}})], content
    )
    assert plain.experiment_id != keeps.experiment_id
    (parent,) = make_experiments([make(**{**BASE, "epochs": 3})], content)
    assert child.parent_id == parent.experiment_id  # which keeps none: it is the one that is there


@pytest.mark.parametrize("given", [[0], [5], [2.0], 3, [True]])
def test_epochs_that_there_are_not_cannot_be_kept(given: JsonValue) -> None:
    with pytest.raises(ConfigError, match="hyperparameter 'keep_epochs': expected"):
        kaggle_ray.Hyperparameters(epochs=4, keep_epochs=given)


def test_a_quick_try_keeps_an_epoch(finished: RunResult) -> None:
    (cut,) = one_epoch_of([kaggle_ray.Hyperparameters(**KEEPS)], finished.plan.folds)
    assert (cut.training.epochs, list(cut.training.keep_epochs)) == (2, [1])
