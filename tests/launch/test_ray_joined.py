"""Being connected to a cluster that is there, or to a Ray of the user's own, with what may be wrong about each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.by_name import make_launcher
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.launch.ray_session import ray_session
from kaggle_ray.reporters.events import EpochEnded, Event, TrialEnded, TrialStarted
from kaggle_ray.testing.launcher_contract import GOOD, launch, toy_plan
from kaggle_ray.testing.ray_cluster import ToyCluster, toy_cluster
from kaggle_ray.testing.run_command import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ray]

REPOSITORY = Path(__file__).resolve().parents[2]
ONE_CPU = Settings(device="cpu", threads_per_trial=1, dtype="float32")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ToyCluster]:
    # One node, as two of one machine would unpack a job's folder over each other.
    with toy_cluster(num_nodes=0, cpus_of_head=2, dashboard=True) as cluster:
        yield cluster


def test_a_dashboard_whose_packages_are_missing_is_refused_by_the_name_of_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    missing = ModuleNotFoundError("No module named 'aiohttp_cors'")
    monkeypatch.setattr("kaggle_ray.launch.ray_session.get_dashboard_dependency_error", lambda: missing)
    with (
        pytest.raises(
            ConfigError, match=r"--dashboard needs the extra: pip install 'kaggle-ray\[dashboard\]' \(No mod"
        ),
        ray_session(ONE_CPU, RayPlacement(num_slots=1, dashboard=True)),
    ):
        pass
    assert not ray.is_initialized()


def test_a_cluster_of_another_python_is_named(cluster: ToyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.99.1")
    with (
        pytest.raises(ConfigError, match=rf"{cluster.address}.*runs Python .*this process Python 3\.99\.1"),
        ray_session(ONE_CPU, RayPlacement(num_slots=1, address=cluster.address)),
    ):
        pass


def test_resources_that_no_node_has_are_named_at_once(cluster: ToyCluster) -> None:
    import ray

    two_gpus = Settings(device="cuda", threads_per_trial=1, dtype="float32", world_size=2)
    with (
        pytest.raises(ConfigError, match=r"needs 2 processes of 1 CPU and 1 GPU each, and there is .*1 node of 2 CPU"),
        ray_session(two_gpus, RayPlacement(num_slots=1, address=cluster.address)),
    ):
        pass
    assert not ray.is_initialized()


def interrupt(event: Event) -> None:
    if isinstance(event, EpochEnded):
        raise KeyboardInterrupt


def test_a_session_of_the_users_own_is_joined_bounded_and_left_as_it_is_of_a_run_that_is_interrupted_too(
    cluster: ToyCluster, toy_data: Path, tmp_path: Path
) -> None:
    import ray

    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:

        @ray.remote(num_cpus=0)
        class Counter:
            def __init__(self) -> None:
                self.number = 41

            def add(self) -> int:
                self.number += 1
                return self.number

        counter = Counter.remote()  # type: ignore[attr-defined]
        plan = toy_plan(data=toy_data, runs=tmp_path, experiments=GOOD[:2])
        with pytest.raises(KeyboardInterrupt) as interrupted:  # whose traceback holds Tune, and what that holds
            launch(make_launcher("ray", RayPlacement(num_slots=2)), plan, on_event=interrupt)
        assert wait_for(lambda: ray.available_resources().get("CPU") == 2, seconds=30), "all that it took is given back"
        groups = ray.util.placement_group_table().values()
        assert {group["state"] for group in groups} == {"REMOVED"}
        del interrupted

        running: set[object] = set()
        most = 0

        def count(event: Event) -> None:
            nonlocal most
            if isinstance(event, TrialStarted):
                running.add(event.trial)
            if isinstance(event, TrialEnded):
                running.discard(event.trial)
            most = max(most, len(running))

        run = launch(make_launcher("ray", RayPlacement(num_slots=2, most_at_once=1)), plan, on_event=count)
        assert [result.status for result in run.results] == ["committed"] * plan.num_trials
        assert most == 1, "there is room for two, and the user wants one"
        assert ray.is_initialized()
        assert ray.get(counter.add.remote(), timeout=60) == 42
    finally:
        ray.shutdown()


ONE_EXPERIMENT = """
from kaggle_ray.config import SearchSpace
from kaggle_ray.testing.toy import TINY
SPACE = SearchSpace(base={**TINY, "epochs": 1}, grid={"lr": [1e-2]})
"""


def test_a_job_runs_the_embedded_competition_and_its_arguments_arrive_as_they_are_typed(
    cluster: ToyCluster, tmp_path: Path
) -> None:
    runs, space = tmp_path / "runs of jobs", tmp_path / "space.py"
    space.write_text(ONE_EXPERIMENT)
    command: list[str | Path] = [
        Path(sys.executable).with_name("ray"), "job", "submit", "--address", cluster.dashboard_url,
        "--working-dir", REPOSITORY, "--", sys.executable, "run.py", "digits", "--space", space, "--runs", runs,
        "--device", "cpu", "--threads", "1", "--slots", "1",
    ]  # fmt: skip
    job = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert job.returncode == 0, job.stdout + job.stderr
    (submission,) = runs.glob("digits/*/submissions/submission.csv")
    assert "succeeded" in job.stdout
    assert len(submission.read_text().splitlines()) > 100


def test_a_node_of_another_environment_is_named_before_a_trial_meets_it(cluster: ToyCluster, tmp_path: Path) -> None:
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    cluster.add_node({"PYTHONPATH": str(tmp_path)})
    with (
        pytest.raises(ConfigError, match=r"torch is 1\.0, here .*uv sync --frozen"),
        ray_session(ONE_CPU, RayPlacement(num_slots=1, address=cluster.address)),
    ):
        pass


CLUSTER = """
import os, subprocess, sys
from kaggle_ray.testing.ray_cluster import toy_cluster
environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
with toy_cluster(num_nodes=0) as cluster:
    for home in sys.argv[2:]:
        subprocess.run([sys.executable, "-c", sys.argv[1], cluster.address], env={**environment, "HOME": home})
"""
DRIVER = """
import sys, ray
from kaggle_ray.launch.ray_address import cluster_address
ray.init(address=cluster_address(sys.argv[1]), log_to_driver=False)
@ray.remote(num_cpus=0)
class Actor:
    def works(self): return "works"
print(ray.get(Actor.remote().works.remote(), timeout=60))
"""


def said_to_users(mode: str, *, home: Path, others: Path) -> tuple[str, str]:
    """Return the output and errors of drivers: of a cluster's user, who has a token, and of one with another home."""
    token = home / ".ray/auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("0" * 32)
    ended = subprocess.run(
        [sys.executable, "-c", CLUSTER, DRIVER, str(home), str(others)],
        env={**os.environ, "HOME": str(home), "RAY_AUTH_MODE": mode}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    return ended.stdout, ended.stderr


def test_a_user_with_the_token_of_a_cluster_works_there_and_one_without_is_told_where_to_get_it(tmp_path: Path) -> None:
    said, errors = said_to_users("token", home=tmp_path / "with", others=tmp_path / "without")
    assert said.split() == ["works"], errors
    assert errors.count("ConfigError: ") == 1
    assert "asks for a token that this user does not have. Copy ~/.ray/auth_token" in errors


def test_users_with_a_token_and_without_work_on_a_cluster_that_has_none(tmp_path: Path) -> None:
    said, errors = said_to_users("disabled", home=tmp_path / "with", others=tmp_path / "without")
    assert said.split() == ["works"] * 2, errors
