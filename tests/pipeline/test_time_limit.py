"""What a run leaves out that has to end by a certain time, and how it is made up for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.combine import TimeLeft
from kaggle_ray.combine.saved import chosen_ensemble, saved_ensembles
from kaggle_ray.config.clock import SteadyClock
from kaggle_ray.pipeline import driver, time_limit
from kaggle_ray.pipeline.checks import check_plan
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.pipeline.team import ensemble_of_runs
from kaggle_ray.pipeline.time_limit import ensembling_s, time_to_ensemble, with_time_to_ensemble
from kaggle_ray.report.collect import report_of
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import TINY, TOY_FILE

THREE: list[dict[str, Any]] = [{**TINY, "epochs": 1, "lr": lr} for lr in (1e-2, 3e-3, 1e-3)]


def options(data: Path, runs: Path, **named: Any) -> RunOptions:
    defaults: dict[str, Any] = {"experiments": THREE, "launcher": "local", "device": "cpu", "threads": 1}
    return RunOptions(competition=TOY_FILE, data=data, runs=runs, **{**defaults, **named})


def test_a_budget_of_nothing_limits_the_training_alone(toy_data: Path, tmp_path: Path) -> None:
    plan = make_plan(options(toy_data, tmp_path, budget=0))
    assert (plan.stop_at is None, plan.ends_at) == (False, None)
    assert not time_to_ensemble(plan, rehearsal_s=1.0, baseline_s=1.0).is_limited


def test_training_stops_for_what_ensembling_is_estimated_to_take(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 5000.0)
    plan = make_plan(options(toy_data, tmp_path, budget=1000.0))
    assert (plan.stop_at, plan.ends_at) == (5970.0, 6000.0)
    monkeypatch.setattr(SteadyClock, "now", lambda clock: 5000.0)
    target, _ = check_plan(plan)
    stops = []
    for seconds in (1.0, 100.0, 5000.0):
        monkeypatch.setattr(time_limit, "ensembling_s", lambda plan, target, seconds=seconds: seconds)
        stops.append(with_time_to_ensemble(plan, target).stop_at)
    assert stops == [5970.0, 5900.0, 5700.0], "three tenths at most: what there is no time for is left out"
    time_left = time_to_ensemble(plan, rehearsal_s=10.0, baseline_s=2.0)
    assert time_left.left_s() == 1000.0 - 10.0 - 2 * 2.0


def test_ensembling_is_estimated_by_members_and_rows(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(options(toy_data, tmp_path))
    target, _ = check_plan(plan)
    monkeypatch.setattr(time_limit, "nested_s", lambda fits, method, num_rows: float(num_rows * len(fits.members)))
    monkeypatch.setattr(time_limit, "choice_s", lambda fits, method, num_rows: float(num_rows * len(fits.members)))
    num_rows = len(plan.folds.scored_rows())
    assert ensembling_s(plan, target) == 3 * num_rows + 6 * 3 * num_rows, "each alone, and six ways together"
    monkeypatch.undo()
    assert 0 < ensembling_s(plan, target) < 60


def test_what_a_run_has_no_time_for_is_named_and_made_up_for_later(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(driver, "time_to_ensemble", lambda plan, **seconds: TimeLeft(0.0))
        short = execute(options(toy_data, tmp_path / "runs", budget=600.0), reporters=[recorder])
    store = open_run(short.run_dir)
    saved = chosen_ensemble(store)
    assert saved is not None
    assert saved.combiner == "mean"
    assert saved.score_honest is not None
    assert {"greedy", "geometric", "convex", "tempered", "the analysis of members and errors"} <= saved.left_out.keys()
    assert [each.method for each in saved_ensembles(store)] == ["auto", "mean"], "none that is not what it is called"
    told = next(each.text for each in recorder.all(RunWarned) if each.topic == "left_out")
    assert "greedy" in told
    assert f"kaggle-ray ensemble {short.run_dir}" in told
    report = report_of(store)
    assert "greedy" in report.facts["Left out of ensembling"]
    assert set(saved.scores.values()) == {None}
    assert set(report.failures.values()) == {"no score of its own: ensembling had no time for it"}
    assert saved.best_experiment is not None

    whole = execute(options(toy_data, tmp_path / "whole"))
    later = ensemble_of_runs(store, [], data=toy_data, out=tmp_path / "later")
    assert Path(str(later.submission)).read_bytes() == whole.submission.read_bytes()
    again = execute(options(toy_data, tmp_path / "runs"))
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == whole.submission.read_bytes()
    saved = chosen_ensemble(open_run(again.run_dir))
    assert saved is not None
    assert not saved.left_out
    assert [each.method for each in saved_ensembles(store)] == ["auto", "greedy", "mean"]
