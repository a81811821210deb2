"""Which weights outlive a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.errors import WeightsGoneError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import TrialEnded
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import FULL_DATA, JsonValue, Trial, TrialResult

BASE = {**TINY, "epochs": 5, "lr": 0.3, "schedule": "constant"}
OTHER_FOLDS = {**BASE, "epoch_rule": "other_folds"}
UNPROVEN = {**BASE, "epoch_rule": "scored_fold"}


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], **options: Any) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, run_id="x", launcher="local", reporters=[],
        device="cpu", **options,
    )  # fmt: skip


def result_of(run_result: RunResult, number: int, fold: int) -> TrialResult:
    experiment = run_result.plan.experiments[number]
    found = open_run(run_result.run_dir).result(Trial(experiment_id=experiment.experiment_id, fold=fold))
    assert found is not None
    return found


def kept(run_result: RunResult, number: int, fold: int) -> set[int | None]:
    """Return the epochs whose weights are on the disk, None for the end's."""
    result = result_of(run_result, number, fold)
    names = [name for name in result.blobs if name.endswith("weights.safetensors")]
    folder = run_result.run_dir / "trials" / str(result.trial) / "attempts" / result.attempt_id
    there = [name.rpartition("/")[0] for name in names if (folder / name).exists()]
    return {int(name.removeprefix("epoch")) if name else None for name in there}


def test_members_of_either_method_keep_their_weights(tmp_path: Path, toy_data: Path) -> None:
    good, bad = {**BASE, "lr": 2e-2, "epochs": 12}, {**BASE, "lr": 1e-6, "epochs": 1}
    result = run(tmp_path, toy_data, good, bad)
    assert result.ensemble is not None
    assert len(result.ensemble.weights) == 1
    assert [kept(result, number, fold) for number in range(2) for fold in range(2)] == [{None}] * 4


def test_what_is_in_no_ensemble_keeps_its_predictions_only(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, BASE, UNPROVEN)
    assert kept(result, 0, 0) == kept(result, 0, 1) == {None}
    assert kept(result, 1, 0) == kept(result, 1, 1) == set()
    swept = result_of(result, 1, 0)
    store = open_run(result.run_dir)
    assert len(store.predictions(swept)[0].values)
    with pytest.raises(WeightsGoneError, match="the weights are gone: a run that is complete keeps those"):
        store.weights(swept)


def test_of_the_kept_epochs_only_those_that_predict_keep_weights_beside_the_end(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, {**OTHER_FOLDS, "lr": 3.0})
    (member,) = result.pool.members.values()
    assert [kept(result, 0, fold) for fold in range(2)] == [{None, epoch} for epoch in member.parts[0].epochs]
    store = open_run(result.run_dir)
    for epoch in range(1, 5):
        assert len(store.predictions(result_of(result, 0, 0), epoch=epoch)[0].values)


def test_a_childs_parent_keeps_the_weights_that_the_child_started_from(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, {**BASE, "epochs": 2, "init_from": {"epoch_rule": "other_folds", "epochs": 5}})
    parent = result.pool.members[result.plan.experiments[0].experiment_id]
    for fold in range(2):
        assert kept(result, 0, fold) == {None, parent.parts[0].epochs[fold]}
        assert kept(result, 1, fold) == {None}


def test_a_rerun_after_the_sweep_trains_nothing_and_gives_the_same_bytes(tmp_path: Path, toy_data: Path) -> None:
    hyperparameter_sets = [OTHER_FOLDS, UNPROVEN]
    first = run(tmp_path, toy_data, *hyperparameter_sets)
    assert kept(first, 1, 0) == set()
    before = first.submission.read_bytes()
    second = run(tmp_path, toy_data, *hyperparameter_sets)
    assert second.num_epochs_trained == 0
    assert second.submission.read_bytes() == before
    assert kaggle_ray.predict(second.run_dir, data=toy_data, out=tmp_path / "p.csv").read_bytes() == before


def test_after_the_sweep_the_other_method_can_be_chosen_and_predict(tmp_path: Path, toy_data: Path) -> None:
    hyperparameter_sets = [{**BASE, "lr": 2e-2, "epochs": 12}, {**BASE, "lr": 1e-3}, OTHER_FOLDS]
    run(tmp_path, toy_data, *hyperparameter_sets)
    mean = run(tmp_path, toy_data, *hyperparameter_sets, ensemble="mean", refit=True)
    assert mean.refit is not None
    assert mean.num_epochs_trained == sum(
        len(found.history)
        for experiment in mean.plan.experiments
        if (found := open_run(mean.run_dir).result(Trial(experiment_id=experiment.experiment_id, fold=FULL_DATA)))
    )
    predicted = kaggle_ray.predict(mean.run_dir, data=toy_data, out=tmp_path / "p.csv")
    assert predicted.read_bytes() == mean.submission.read_bytes()


def test_a_run_that_is_not_complete_keeps_all_weights(tmp_path: Path, toy_data: Path) -> None:
    class StopsAfterThree:
        num_finished = 0

        def emit(self, envelope: Envelope) -> None:
            self.num_finished += isinstance(envelope.event, TrialEnded)
            if self.num_finished == 3:
                raise KeyboardInterrupt

        def close(self) -> None:
            pass

    hyperparameter_sets = [OTHER_FOLDS, UNPROVEN]
    with pytest.raises(KeyboardInterrupt):
        kaggle_ray.run(
            TOY_FILE, experiments=hyperparameter_sets, data=toy_data, runs=tmp_path,
            run_id="x", launcher="local", device="cpu",
            reporters=[StopsAfterThree()],
        )  # fmt: skip
    result = run(tmp_path, toy_data, *hyperparameter_sets, budget="0s")
    assert result.ensemble is not None
    assert kept(result, 0, 0) == {1, 2, 3, 4, None}
    assert kept(result, 1, 0) == {None}
    complete = run(tmp_path, toy_data, *hyperparameter_sets)
    assert len(kept(complete, 0, 0)) == 1
