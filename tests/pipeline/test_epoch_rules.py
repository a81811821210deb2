"""Which epoch's weights predict: from the training loop to the board and the submission."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.errors import RunMismatchError
from kaggle_ray.launch.local_peers import LocalRunner
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.checkpoint import Cadence
from kaggle_ray.types import JsonValue, Trial, TrialMessage, TrialResult

BASE: dict[str, JsonValue] = {**TINY, "epochs": 6, "lr": 2e-2, "schedule": "constant"}
SNAPSHOTS = {**BASE, "schedule": "snapshot", "schedule_args": {"num_cycles": 3}}


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], **options: object) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, launcher="local", reporters=[], **options  # type: ignore[arg-type]
    )  # fmt: skip


def results_of(result: RunResult, number: int = 0) -> list[TrialResult]:
    store, experiment = open_run(result.run_dir), result.plan.experiments[number]
    found = [store.result(Trial(experiment_id=experiment.experiment_id, fold=fold)) for fold in range(2)]
    return [each for each in found if each is not None]


def test_snapshots_are_members_of_the_ensemble(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, SNAPSHOTS)
    names = {member.name for member in result.pool.members.values()}
    experiment = result.plan.experiments[0].name
    assert names == {experiment, f"{experiment} at epoch 2", f"{experiment} at epoch 4"}
    values = [np.asarray(result.pool.oof[name][:]) for name in result.pool.members]
    assert all(not np.array_equal(values[0], other) for other in values[1:])
    shown = {row.name: row.score for row in result.board.rows}
    for member_id, member in result.pool.members.items():
        expected = result.plan.competition.metric.score(_target(result), np.asarray(result.pool.oof[member_id][:]))
        assert shown[member.name] == pytest.approx(expected)


def _target(result: RunResult) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    plan = result.plan
    return np.asarray(plan.samples.target[plan.folds.scored_rows()])


def test_the_epoch_of_each_fold_is_the_best_on_the_other_folds_rows(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, {**BASE, "epoch_rule": "other_folds", "lr": 0.3})
    (member,) = result.pool.members.values()
    curves = [{m.epoch: m.score for m in of.history} for of in results_of(result)]
    best = [min(curves[1], key=curves[1].__getitem__), min(curves[0], key=curves[0].__getitem__)]
    assert [epoch or 6 for epoch in member.parts[0].epochs] == best
    assert result.ensemble is not None
    assert result.board.rows[0].score is not None


def test_an_inner_split_chooses_the_epoch_and_is_never_trained_on(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, {**BASE, "epoch_rule": "inner", "inner_share": 0.25, "patience": 2, "epochs": 30})
    for of_fold in results_of(result):
        inner = [m.inner_score for m in of_fold.history if m.inner_score is not None]
        best = int(np.argmin(inner))
        assert len(inner) == min(30, best + 3)
        assert of_fold.epoch == best + 1
        lineage = open_run(result.run_dir).lineage(of_fold)
        assert lineage.is_proven
        train_rows = result.plan.folds.train_rows(of_fold.trial.fold)
        assert 0.6 * len(train_rows) < lineage.trained_rows.sum() < 0.85 * len(train_rows)


def test_seeds_are_averaged_before_they_are_weighted(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, *({**BASE, "seed": seed} for seed in range(3)))
    (member_id,) = result.pool.oof
    singles = [result.pool.of_seeds[e.experiment_id][:] for e in result.plan.experiments]
    assert np.allclose(result.pool.oof[member_id][:], np.mean(singles, axis=0), atol=1e-6)
    (row,) = [row for row in result.board.rows if row.kind == "member"]
    assert "mean of 3 seeds" in row.name
    assert row.weight == 1.0
    assert all(row.score is not None for row in result.board.rows if row.kind == "experiment")


def test_epochs_between_evaluations_have_no_score(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, {**BASE, "evaluate_every": 4})
    for of_fold in results_of(result):
        assert [m.epoch for m in of_fold.history if np.isfinite(m.score)] == [4, 6]
        assert of_fold.score is not None


def plan_of(runs: Path, data: Path, hyperparameters: Mapping[str, JsonValue]) -> RunPlan:
    plan = make_plan(
        RunOptions(
            competition=TOY_FILE, experiments=[hyperparameters], data=data, runs=runs, run_id="x",
            device="cpu", threads=1, dtype="float32", checkpoint_every_s=0.0,
        )
    )  # fmt: skip
    prepare(plan, None)
    return plan


def drained(epochs: Generator[TrialMessage, None, TrialResult]) -> TrialResult:
    while True:
        try:
            next(epochs)
        except StopIteration as stop:
            result: TrialResult = stop.value
            return result


def test_what_was_kept_before_a_trial_was_cut_off_is_found_again(
    tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cadence, "is_due", lambda self: True)
    digests = []
    for folder, cut_off in (("cut", True), ("straight", False)):
        plan = plan_of(tmp_path / folder, toy_data, SNAPSHOTS)
        trial = Trial(experiment_id=plan.experiments[0].experiment_id, fold=0)
        if cut_off:
            with closing(LocalRunner(plan.trial_context())) as runner:
                epochs = runner.run(trial)
                for _ in range(5):
                    next(epochs)
                epochs.close()
        with closing(LocalRunner(plan.trial_context())) as runner:
            result = drained(runner.run(trial))
        assert (result.num_resumed > 0) == cut_off
        digests.append({name: digest for name, digest in result.blobs.items() if name != "manifest.json"})
        valid, _ = open_run(plan.location).predictions(result, epoch=2)
        assert len(valid.values)
    assert digests[0] == digests[1]
    assert {name.partition("/")[0] for name in digests[0] if "/" in name} == {"epoch2", "epoch4"}


def test_seeds_make_one_member_of_each_experiment_and_a_rerun_trains_nothing(tmp_path: Path, toy_data: Path) -> None:
    hyperparameter_sets = [BASE, {**BASE, "epochs": 2, "init_from": {"epochs": 3}}]
    result = run(tmp_path, toy_data, *hyperparameter_sets, seeds=2)
    assert [e.hyperparameters["seed"] for e in result.plan.experiments] == [0, 0, 0, 1, 1, 1]
    assert len(result.pool.members) == 3
    assert all(len(member.parts) == 2 for member in result.pool.members.values())
    again = run(tmp_path, toy_data, *hyperparameter_sets, seeds=2)
    assert again.run_dir == result.run_dir
    assert again.num_epochs_trained == 0
    one = run(tmp_path, toy_data, *hyperparameter_sets, seeds=1)
    assert one.run_dir != result.run_dir
    with pytest.raises(RunMismatchError, match="was started with other experiments"):
        run(tmp_path, toy_data, *hyperparameter_sets, seeds=3, run_id=result.run_dir.name)


def test_a_run_with_seeds_is_resumed_by_its_name_alone(tmp_path: Path, toy_data: Path) -> None:
    first = run(tmp_path, toy_data, BASE, seeds=2, run_id="x")
    again = kaggle_ray.run(
        TOY_FILE, data=toy_data, runs=tmp_path, run_id="x", launcher="local", reporters=[], budget="0s"
    )
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == first.submission.read_bytes()
