from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kaggle_ray.launch import deaths
from kaggle_ray.launch.by_name import make_launcher
from kaggle_ray.launch.launcher import Launcher
from kaggle_ray.launch.local import LocalLauncher
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.reporters.events import EpochEnded, Event, TrialEnded, TrialStarted
from kaggle_ray.testing.crash import descendants
from kaggle_ray.testing.launcher_contract import (
    GOOD,
    LauncherRun,
    check_launcher,
    check_pruning,
    check_waiting,
    launch,
    toy_plan,
    trials_of,
)
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import Trial

NUM_DEATHS = 2


def most_at_once(run: LauncherRun) -> int:
    running: set[Trial] = set()
    most = 0
    for event in run.events:
        if isinstance(event, TrialStarted):
            running.add(event.trial)
        if isinstance(event, TrialEnded):
            running.remove(event.trial)
        most = max(most, len(running))
    return most


@pytest.fixture(scope="module")
def ray_launcher() -> Launcher:
    return make_launcher("ray", RayPlacement(num_slots=2))


@pytest.mark.slow
def test_the_local_launcher_keeps_the_contract(toy_data: Path, tmp_path: Path) -> None:
    run = check_launcher(LocalLauncher(), LocalLauncher(), data=toy_data, runs=tmp_path)
    assert {result.process_id for result in run.results} == {os.getpid()}
    assert most_at_once(run) == 1


def test_the_local_launcher_stops_what_the_source_stops(toy_data: Path, tmp_path: Path) -> None:
    check_pruning(LocalLauncher(), LocalLauncher(), data=toy_data, runs=tmp_path)


def test_the_local_launcher_runs_one_at_a_time(toy_data: Path, tmp_path: Path) -> None:
    check_waiting(LocalLauncher(), data=toy_data, runs=tmp_path)


@pytest.mark.slow
def test_a_local_run_does_not_import_ray(toy_data: Path, tmp_path: Path) -> None:
    script = f"""
import sys
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
files = dict(competition={str(TOY_FILE)!r}, data={str(toy_data)!r}, runs={str(tmp_path)!r})
options = RunOptions(**files, threads=1, launcher="local")
assert execute(options).num_epochs_trained == 8
print(sorted(name for name in sys.modules if name.partition(".")[0] == "ray"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_source_that_waits_for_nothing_is_our_own_bug(toy_data: Path, tmp_path: Path) -> None:
    from kaggle_ray.schedule.source import ListSource, Wait

    class Stuck(ListSource):
        def next(self) -> Wait:
            return Wait()

    plan = toy_plan(data=toy_data, runs=tmp_path, experiments=GOOD[:1])
    with pytest.raises(RuntimeError, match="waits for a trial to end, but none is running"):
        launch(LocalLauncher(), plan, make_source=Stuck)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_the_ray_launcher_keeps_the_contract_two_trials_at_once_in_reused_processes(
    ray_launcher: Launcher, toy_data: Path, tmp_path: Path
) -> None:
    run = check_launcher(ray_launcher, LocalLauncher(), data=toy_data, runs=tmp_path)
    process_ids = [result.process_id for result in run.results]
    assert len(set(process_ids)) < len(process_ids), "processes are reused"
    assert os.getpid() not in process_ids
    assert most_at_once(run) == 2


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_the_ray_launcher_runs_one_at_a_time_where_the_source_waits(
    ray_launcher: Launcher, toy_data: Path, tmp_path: Path
) -> None:
    check_waiting(ray_launcher, data=toy_data, runs=tmp_path)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_the_ray_launcher_stops_what_the_source_stops_and_keeps_its_process(toy_data: Path, tmp_path: Path) -> None:
    launcher = make_launcher("ray", RayPlacement(num_slots=1, most_at_once=1))
    run = check_pruning(launcher, LocalLauncher(), data=toy_data, runs=tmp_path)
    process_ids = {result.process_id for result in run.results if result.status == "committed"}
    assert len(process_ids) == 1, "those before and after what was stopped ran in the same process"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_a_trial_whose_process_dies_is_begun_again_and_where_it_always_dies_it_has_failed_and_the_others_go_on(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "NUM_DEATHS_IN_A_ROW", NUM_DEATHS)  # of three test_ray_bridge tells
    long = [{**TINY, "epochs": 8, "lr": lr} for lr in (1e-2, 1e-3)]
    plan = toy_plan(data=toy_data, runs=tmp_path / "ray", experiments=long, num_slots=1)
    once, always, *others = trials_of(plan)
    num_begun: Counter[Trial] = Counter()

    def kill(event: Event) -> None:
        if isinstance(event, TrialStarted):
            num_begun[event.trial] += 1
        if (
            isinstance(event, EpochEnded)
            and event.metrics.epoch == 3
            and (event.trial == always or (event.trial == once and num_begun[once] == 1))
        ):
            actors = [pid for pid, command in descendants(os.getpid()).items() if "FoldTrial" in command]
            assert actors
            for actor in actors:
                os.kill(actor, signal.SIGKILL)

    run = launch(make_launcher("ray", RayPlacement(num_slots=1, most_at_once=1)), plan, on_event=kill)
    assert num_begun == {once: 2, always: NUM_DEATHS, **dict.fromkeys(others, 1)}
    results = {result.trial: result for result in run.results}
    assert {trial: result.status for trial, result in results.items()} == {
        once: "committed",
        always: "failed",
        **dict.fromkeys(others, "committed"),
    }
    text = "its process died, and it begins again from its last checkpoint: The actor is dead because"
    warnings = [warned.warning for trial in (once, always) for warned in run.warnings(trial)]
    assert [(each.topic, each.epoch) for each in warnings] == [("process_died", 4)] * NUM_DEATHS
    assert all(each.text.startswith(text) for each in warnings), warnings
    error = results[always].error or ""
    assert error.startswith("its process died 2 times in a row, before epoch 4 ended. The last one: "), error
    assert run.store.result(always) is None, "it has failed for now: the same command tries it again"
    assert run.of(always)[-1] == TrialEnded.of(results[always])

    expected = launch(LocalLauncher(), toy_plan(data=toy_data, runs=tmp_path / "local", experiments=long))
    for trial in (once, *others):
        assert run.predictions(trial) == expected.predictions(trial)
