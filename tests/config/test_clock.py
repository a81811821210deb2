"""The clock of budgets and deadlines stays as it is when the system's is set."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kaggle_ray.config.clock import SteadyClock
from kaggle_ray.pipeline import driver
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE

DAY_S = 86_400.0


@pytest.mark.parametrize("jump", [-DAY_S, 60.0, DAY_S])
def test_a_system_clock_that_is_set_changes_nothing(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, now = SteadyClock(), time.time
    monkeypatch.setattr("time.time", lambda: now() + jump)
    assert 0 <= clock.now() - clock.began_at < 30
    assert abs(time.time() - clock.now()) > 30


def test_another_process_of_the_machine_agrees_and_another_machine_tells_its_own_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SteadyClock(began_at=1000.0)
    code = f"import pickle; print(pickle.loads({pickle.dumps(clock)!r}).now())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert 1000.0 <= float(there.stdout) <= clock.now() < 1060.0
    monkeypatch.setattr("time.time", lambda: 5.0)
    assert replace(clock, machine="another").now() == 5.0


def test_a_budget_is_kept_to_though_the_clock_is_set_a_day_ahead_meanwhile(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(options: RunOptions) -> RunPlan:
        plan, now = make_plan(options), time.time
        monkeypatch.setattr("time.time", lambda: now() + DAY_S)
        return plan

    monkeypatch.setattr(driver, "make_plan", planned)
    options = RunOptions(
        competition=TOY_FILE, experiments=[{**TINY, "epochs": 2}], data=toy_data, runs=tmp_path, launcher="local",
        device="cpu", threads=1, budget=3600.0,
    )  # fmt: skip
    result = driver.execute(options)
    assert time.time() > result.plan.clock.now() + DAY_S / 2
    assert result.num_epochs_trained == 4
    assert result.ensemble is not None
