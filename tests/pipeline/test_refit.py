"""The models of all rows, from the epochs of the folds to a second submission."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import LeakError
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.refit import full_data_epochs
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pool.ledger import check_full_lineage, check_lineage
from kaggle_ray.pool.members import full_model
from kaggle_ray.report.collect import report_of
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RefitEnded, TrialEnded
from kaggle_ray.reporters.lines import event_lines
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.crash import KillPoint, RunProcesses
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.submitted import read_cells, submitted_values
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import FULL_DATA, Folds, JsonValue, Trial, TrialResult

BASE = {**TINY, "epochs": 3, "lr": 2e-2, "schedule": "constant"}
SNAPSHOTS = {**BASE, "epochs": 6, "schedule": "snapshot", "schedule_args": {"num_cycles": 3}}
CHILD = {**BASE, "epochs": 2, "init_from": {"epochs": 3}}


class StopsInRefit(Recorder):
    """Ends the run when the first refit is committed."""

    def emit(self, envelope: Envelope) -> None:
        super().emit(envelope)
        event = envelope.event
        if isinstance(event, TrialEnded) and event.trial.fold == FULL_DATA:
            raise KeyboardInterrupt


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], **options: Any) -> RunResult:
    options = {"refit": True, "ensemble": "mean", "reporters": [], **options}
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, run_id="x", launcher="local", device="cpu", **options
    )


def full_results(result: RunResult) -> list[TrialResult | None]:
    store = open_run(result.run_dir)
    return [
        store.result(Trial(experiment_id=experiment.experiment_id, fold=FULL_DATA))
        for experiment in result.plan.experiments
    ]


def test_a_refit_trains_on_all_rows_and_takes_the_folds_place_in_the_ensemble(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, BASE, {**BASE, "lr": 5e-3})
    store, plan = open_run(result.run_dir), result.plan
    assert result.num_epochs_trained == 2 * 3 * 3
    of_full = []
    for full in full_results(result):
        assert full is not None
        assert full.score is None
        assert len(full.history) == 3
        valid, test = store.predictions(full)
        assert len(valid.sample_ids) == len(valid.values) == 0
        assert store.lineage(full).trained_rows.all()
        assert not store.lineage(full).is_proven
        of_full.append(np.array(test.values))
    assert result.refit == result.run_dir / "submissions" / "refit.csv"
    submitted = submitted_values(result.refit)
    assert np.allclose(submitted, np.mean(of_full, axis=0), atol=1e-6)
    assert (result.run_dir / "trials" / plan.experiments[0].experiment_id / "full" / "result.json").exists()


def test_a_refit_changes_no_score_and_no_other_submission(tmp_path: Path, toy_data: Path) -> None:
    hyperparameter_sets = [BASE, {**BASE, "lr": 5e-3, "seed": 1}]
    without = run(tmp_path / "without", toy_data, *hyperparameter_sets, refit=False)
    result = run(tmp_path / "with", toy_data, *hyperparameter_sets)
    again = run(tmp_path / "with", toy_data, *hyperparameter_sets, ensemble="greedy", refit=False)
    plain = run(tmp_path / "without", toy_data, *hyperparameter_sets, ensemble="greedy", refit=False)
    assert (without.refit, again.refit) == (None, None)
    for other, one in ((without, result), (plain, again)):
        assert [(row.name, row.score) for row in one.board.rows] == [(row.name, row.score) for row in other.board.rows]
        for name, values in one.pool.oof.items():
            assert np.array_equal(values[:], other.pool.oof[name][:])
    assert again.submission.read_bytes() == plain.submission.read_bytes()


def test_the_ledger_gives_no_score_to_a_trial_of_all_rows(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, BASE)
    store, folds = open_run(result.run_dir), result.plan.folds
    (full,) = full_results(result)
    assert full is not None
    valid, test = store.predictions(full)
    check_full_lineage(full.trial, valid, test, folds)
    with pytest.raises(LeakError, match=r"full: was trained on all rows\. Its predictions get no score"):
        check_lineage(full.trial, test, folds)
    with pytest.raises(LeakError, match=r"trained on .* of the rows that it scores"):
        check_lineage(dataclasses.replace(full.trial, fold=0), test, folds)
    with pytest.raises(LeakError, match="a trial of all rows that scores none, got 20 rows"):
        check_full_lineage(full.trial, test, test, folds)
    with pytest.raises(LeakError, match="under fold plan"):
        check_full_lineage(full.trial, valid, test, dataclasses.replace(folds, digest="other"))


def test_its_description_says_that_the_score_is_the_cross_validated_one(tmp_path: Path, toy_data: Path) -> None:
    recorder = Recorder()
    result = run(tmp_path, toy_data, BASE, reporters=[recorder])
    made_of = json.loads((result.run_dir / "submissions" / "refit.json").read_text())
    assert made_of["score_honest"] is None
    assert made_of["cross_validated_score"] == result.score
    assert made_of["weights"] == dict(result.ensemble.weights)  # type: ignore[union-attr]
    assert "no row is left to score them by" in made_of["note"]
    event = recorder.one(RefitEnded)
    (line,) = event_lines(event, RunProgress(metric="log_loss"))
    assert line.plain.startswith("refit on all rows  not measured; cross-validated, log_loss 0.")
    assert line.plain.endswith(str(result.refit))
    assert "not measured on any row" in report_of(open_run(result.run_dir)).facts["Refit on all rows"]
    assert result.to_json()["refit"] == str(result.refit)


def test_a_rerun_trains_nothing_and_gives_the_same_bytes(tmp_path: Path, toy_data: Path) -> None:
    first = run(tmp_path, toy_data, BASE, SNAPSHOTS)
    assert first.refit is not None
    before = first.refit.read_bytes()
    second = run(tmp_path, toy_data, BASE, SNAPSHOTS)
    assert second.num_epochs_trained == 0
    assert second.refit is not None
    assert second.refit.read_bytes() == before


def test_a_refit_that_is_stopped_goes_on_where_it_was(tmp_path: Path, toy_data: Path) -> None:
    straight = run(tmp_path / "straight", toy_data, BASE, SNAPSHOTS)
    recorder = StopsInRefit()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", toy_data, BASE, SNAPSHOTS, reporters=[recorder])
    assert recorder.kinds[-1] == "run_interrupted"
    assert (tmp_path / "cut" / "toy" / "x" / "submissions" / "submission.csv").exists()
    result = run(tmp_path / "cut", toy_data, BASE, SNAPSHOTS)
    assert result.num_epochs_trained == 6
    assert result.refit is not None
    assert straight.refit is not None
    assert result.refit.read_bytes() == straight.refit.read_bytes()


def test_without_time_there_is_no_refit_and_that_is_said(tmp_path: Path, toy_data: Path) -> None:
    first = run(tmp_path, toy_data, BASE, refit=False)
    recorder = Recorder()
    late = run(tmp_path, toy_data, BASE, budget="0s", reporters=[recorder])
    assert late.submission.read_bytes() == first.submission.read_bytes()
    assert late.refit is None
    assert not (late.run_dir / "submissions" / "refit.csv").exists()
    event = recorder.one(RefitEnded)
    assert event.why_not == "there was time for 0 of 1 trial of all rows"
    (line,) = event_lines(event, RunProgress())
    assert line.plain == "no refit: there was time for 0 of 1 trial of all rows"


def test_where_nothing_is_complete_there_is_nothing_to_refit(tmp_path: Path, toy_data: Path) -> None:
    recorder = Recorder()
    result = run(tmp_path, toy_data, BASE, budget="0s", reporters=[recorder])
    assert result.refit is None
    event = recorder.one(RefitEnded)
    assert event.why_not == "no experiment is complete"


def test_only_what_has_weight_is_refitted(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, {**BASE, "epochs": 12}, {**BASE, "lr": 1e-6, "epochs": 1}, ensemble="greedy")
    assert result.ensemble is not None
    assert len(result.ensemble.weights) == 1
    good, bad = full_results(result)
    assert good is not None
    assert bad is None


def test_a_child_starts_from_its_parents_weights_of_all_rows(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, CHILD)
    parent, child = full_results(result)
    assert parent is not None
    assert child is not None
    store = open_run(result.run_dir)
    assert store.lineage(child).parents == (parent.trial.experiment_id,)
    of_parent, of_child = (store.predictions(each)[1].values for each in (parent, child))
    assert not np.array_equal(of_parent, of_child)


def test_each_seed_is_refitted(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, BASE, seeds=2)
    store = open_run(result.run_dir)
    fulls = full_results(result)
    tests = [np.array(store.predictions(full)[1].values) for full in fulls if full is not None]
    assert len(tests) == 2
    assert result.refit is not None
    assert np.allclose(submitted_values(result.refit), np.mean(tests, axis=0), atol=1e-6)


def test_snapshots_stay_the_same_snapshots(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, SNAPSHOTS)
    (full,) = full_results(result)
    assert full is not None
    store = open_run(result.run_dir)
    tests = [np.array(store.predictions(full, epoch=epoch)[1].values) for epoch in (2, 4, None)]
    assert result.refit is not None
    assert np.allclose(submitted_values(result.refit), np.mean(tests, axis=0), atol=1e-6)
    assert store.predictions(full, epoch=2)[0].values.shape[0] == 0


def test_it_trains_for_the_epochs_that_the_folds_chose(tmp_path: Path, toy_data: Path) -> None:
    chosen = {**BASE, "epochs": 6, "lr": 0.3, "epoch_rule": "other_folds"}
    result = run(tmp_path, toy_data, chosen)
    (member,) = result.pool.members.values()
    (full,) = full_results(result)
    assert full is not None
    assert len(full.history) == max(epoch or 6 for epoch in member.parts[0].epochs)
    assert full.epoch == len(full.history)
    trial, epoch = full_model(member.parts[0], result.plan.experiments[0])
    assert (trial, epoch) == (full.trial, None)


def test_where_the_best_epochs_were_averaged_it_averages_as_many_last_ones(tmp_path: Path, toy_data: Path) -> None:
    chosen = {**BASE, "epochs": 4, "lr": 0.1, "epoch_rule": "inner", "inner_share": 0.25, "average_best": 3}
    result = run(tmp_path, toy_data, chosen)
    (full,) = full_results(result)
    store = open_run(result.run_dir)
    assert full is not None
    (experiment,) = result.plan.experiments
    for fold in range(2):
        of_fold = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
        assert of_fold is not None
        assert of_fold.averaged_epochs == () or len(of_fold.averaged_epochs) == 3
    assert int(load(store.weights(full))["n_averaged"]) == min(3, len(full.history))


@pytest.mark.parametrize(
    ("rule", "of_folds", "expected"),
    [("last", [6, 6, 6], 6), ("inner", [2, 3, 6], 3), ("inner", [2, 5], 5), ("scored_fold", [1, 4, 4, 5], 4)],
)
def test_the_epochs_are_the_median_of_those_of_the_folds(rule: str, of_folds: list[int], expected: int) -> None:
    from kaggle_ray.config import parse_hyperparameters
    from kaggle_ray.pipeline.experiments import make_experiments
    from kaggle_ray.train.content import Content

    hyperparameters = parse_hyperparameters({"epochs": 6, "epoch_rule": rule}, where="here")
    (experiment,) = make_experiments([hyperparameters], Content())
    results = [
        TrialResult(
            trial=Trial(experiment_id=experiment.experiment_id, fold=fold), status="committed", attempt_id="a", epoch=e
        )
        for fold, e in enumerate(of_folds)
    ]
    assert full_data_epochs(experiment, results, greater_is_better=True) == expected


@pytest.mark.parametrize("forward", [False, True])
def test_a_trial_of_all_rows_has_those_that_are_never_scored_too(forward: bool) -> None:
    folds = Folds(
        sample_ids=np.array(["a", "b", "c"]), fold_of=np.array([-1, 0, 1], dtype=np.int8), num_folds=2, seed=0,
        digest="d", forward=forward,
    )  # fmt: skip
    assert folds.train_rows(FULL_DATA).tolist() == [0, 1, 2]
    assert folds.valid_rows(FULL_DATA).tolist() == []
    assert str(Trial(experiment_id="e", fold=FULL_DATA)) == "e/full"


def test_the_models_of_all_rows_predict_new_data(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, CHILD, SNAPSHOTS, {**SNAPSHOTS, "seed": 1})
    out = kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "again.csv", refit=True)
    assert result.refit is not None
    assert out.read_bytes() == result.refit.read_bytes() != result.submission.read_bytes()


def test_models_of_all_rows_that_are_not_there_are_asked_for(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, BASE, refit=False)
    with pytest.raises(kaggle_ray.KaggleRayError, match=r"full is not committed.*with --refit"):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "x.csv", refit=True)


def options(runs: Path, data: Path) -> RunOptions:
    return RunOptions(
        competition=TOY_FILE, experiments=[BASE, CHILD], data=data, runs=runs, run_id="x", device="cpu", threads=1,
        dtype="float32", refit=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_refit_killed_at_any_of_its_writes_and_run_again_gives_the_same_bytes(tmp_path: Path, toy_data: Path) -> None:
    processes = RunProcesses(environment={"KAGGLE_RAY_CACHE": str(tmp_path / "cache")})
    submission = Path("toy") / "x" / "submissions" / "refit.csv"
    processes.run(options(tmp_path / "first", toy_data))  # what it decodes, the others find
    undisturbed = processes.run(options(tmp_path / "undisturbed", toy_data))
    assert undisturbed is not None
    expected = (tmp_path / "undisturbed" / submission).read_bytes()
    without = processes.run(dataclasses.replace(options(tmp_path / "without", toy_data), refit=False))
    assert without is not None
    assert undisturbed.num_calls > without.num_calls + 6
    for number in range(without.num_calls - 2, undisturbed.num_calls + 1, 2):
        runs = tmp_path / str(number)
        assert processes.run(options(runs, toy_data), point=KillPoint(number=number)) is None
        rerun = processes.run(options(runs, toy_data))
        assert rerun is not None
        assert (runs / submission).read_bytes() == expected, number
        assert rerun.submission == undisturbed.submission
        again = processes.run(options(runs, toy_data))
        assert again is not None
        assert again.num_epochs_trained == 0


def test_seeds_and_a_refit_are_asked_for_on_the_command_line(
    tmp_path: Path, toy_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", str(TOY_FILE), "--data", str(toy_data), "--runs", str(tmp_path), "--launcher", "local"]
    main([*words, "--device", "cpu", "--ensemble", "mean", "--seeds", "2", "--refit", "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert (summary["num_experiments"], summary["num_trials"]) == (4, 8)
    assert summary["num_epochs_trained"] == 8 * 2 + 4 * 2
    assert len(read_cells(Path(summary["refit"])).ids) == len(read_cells(Path(summary["submission"])).ids)
