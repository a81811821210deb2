from __future__ import annotations

import dataclasses
from pathlib import Path

from kaggle_ray.testing.launcher_contract import GOOD, toy_plan, trials_of
from kaggle_ray.train.trial import TrialRunner
from kaggle_ray.types import Trial, TrialResult


def run(runner: TrialRunner, trial: Trial) -> TrialResult:
    epochs = runner.run(trial)
    while True:
        try:
            next(epochs)
        except StopIteration as stop:
            result: TrialResult = stop.value
            return result


def test_a_machine_that_does_not_see_the_runs_folder_says_what_to_do(toy_data: Path, tmp_path: Path) -> None:
    plan = toy_plan(data=toy_data, runs=tmp_path / "runs", experiments=GOOD[:1])
    elsewhere = dataclasses.replace(plan.trial_context(), run_dir=tmp_path / "not_shared")
    result = run(TrialRunner(elsewhere), trials_of(plan)[0])
    assert result.status == "failed"
    assert f"{tmp_path / 'not_shared'}: " in (result.error or "")
    assert "disk that all machines share, under the same path: name one with --runs" in (result.error or "")
    assert not (tmp_path / "not_shared").exists(), "and nothing is written where nobody looks"
