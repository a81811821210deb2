"""Being connected to Ray: its own, a cluster's, or the user's, with what may be wrong about each."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.by_name import make_launcher
from kaggle_ray.launch.ray_session import ray_session
from kaggle_ray.reporters.events import Event, TrialEnded, TrialStarted
from kaggle_ray.testing.launcher_contract import GOOD, launch, toy_plan
from kaggle_ray.testing.ray_cluster import ToyCluster, toy_cluster

pytestmark = [pytest.mark.slow, pytest.mark.ray]

ONE_CPU = Settings(device="cpu", threads_per_trial=1, dtype="float32")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ToyCluster]:
    with toy_cluster(num_nodes=1, cpus_per_node=2) as cluster:
        yield cluster


def listening(pid: int) -> set[str]:
    """Return the addresses that a process and its descendants listen at."""
    psutil = pytest.importorskip("psutil")
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_its_own_ray_listens_on_loopback_alone_and_stands_a_long_tmpdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    long = tmp_path / ("slurm_job_of_a_user_with_a_long_name_" * 3)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    before = dict(os.environ)
    with ray_session(ONE_CPU, num_slots=1) as session:
        assert (session.num_slots, session.is_cluster) == (1, False)
        worker = ray.get(ray.remote(lambda: os.getpid()).remote())
        assert worker != os.getpid()
        assert {address.removeprefix("::ffff:") for address in listening(os.getpid())} == {"127.0.0.1"}
        for token in Path.home().glob(".ray/auth_token"):
            assert token.stat().st_mode & 0o077 == 0, "it is this user's alone"
    assert os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") == before.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_dashboard_answers_on_loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with ray_session(ONE_CPU, num_slots=1, dashboard=True) as session:
        assert session.dashboard
        assert session.dashboard.url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(session.dashboard.url, timeout=60) as page:
            assert "<title>Ray Dashboard</title>" in page.read().decode()
        assert session.dashboard.asks_for_token == (_status(f"{session.dashboard.url}/api/version") == 401)
        assert {address.removeprefix("::ffff:") for address in listening(os.getpid())} == {"127.0.0.1"}


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
        ray_session(ONE_CPU, num_slots=1, dashboard=True),
    ):
        pass
    assert not ray.is_initialized()


def test_two_trials_of_half_a_gpu_each_run_at_once_on_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    half_a_gpu = Settings(device="cuda", threads_per_trial=1, dtype="float32")
    with ray_session(half_a_gpu, num_slots=2, gpus_per_trial=0.5) as session:

        @ray.remote(num_cpus=session.needed["CPU"], num_gpus=session.needed["GPU"])
        class Slot:
            def gpus(self) -> list[int]:
                return list(ray.get_gpu_ids())

        slots = [Slot.remote() for _ in range(3)]  # type: ignore[attr-defined]
        placed, waiting = ray.wait([slot.gpus.remote() for slot in slots], num_returns=2, timeout=120)
        assert ray.get(placed) == [[0], [0]], "one GPU is all that they need"
        assert ray.wait(waiting, timeout=1)[1] == waiting, "a third finds no room"


def test_a_cluster_of_another_python_is_named(cluster: ToyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.99.1")
    with (
        pytest.raises(ConfigError, match=rf"{cluster.address}.*runs Python .*this process Python 3\.99\.1"),
        ray_session(ONE_CPU, num_slots=1, address=cluster.address),
    ):
        pass


def test_resources_that_no_node_has_are_named_at_once(cluster: ToyCluster) -> None:
    import ray

    two_gpus = Settings(device="cuda", threads_per_trial=1, dtype="float32", world_size=2)
    with (
        pytest.raises(ConfigError, match=r"needs 2 processes of 1 CPU and 1 GPU each, and there is .*1 node of 2 CPU"),
        ray_session(two_gpus, num_slots=1, address=cluster.address),
    ):
        pass
    assert not ray.is_initialized()


def test_a_session_of_the_users_own_is_joined_bounded_and_left_as_it_is(
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
        running: set[object] = set()
        most = 0

        def count(event: Event) -> None:
            nonlocal most
            if isinstance(event, TrialStarted):
                running.add(event.trial)
            if isinstance(event, TrialEnded):
                running.discard(event.trial)
            most = max(most, len(running))

        plan = toy_plan(data=toy_data, runs=tmp_path, experiments=GOOD[:2])
        run = launch(make_launcher("ray", num_slots=2, most_at_once=1), plan, on_event=count)
        assert [result.status for result in run.results] == ["committed"] * plan.num_trials
        assert most == 1, "there is room for two, and the user wants one"
        assert ray.is_initialized()
        assert ray.get(counter.add.remote(), timeout=60) == 42
    finally:
        ray.shutdown()


def test_a_node_of_another_environment_is_named_before_a_trial_meets_it(cluster: ToyCluster, tmp_path: Path) -> None:
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    cluster.add_node({"PYTHONPATH": str(tmp_path)})
    with (
        pytest.raises(ConfigError, match=r"torch is 1\.0, here .*uv sync --frozen"),
        ray_session(ONE_CPU, num_slots=1, address=cluster.address),
    ):
        pass


CLUSTER = """
import os, subprocess, sys
from kaggle_ray.testing.ray_cluster import toy_cluster
with toy_cluster(num_nodes=1) as cluster:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1], cluster.address], env=environment).returncode)
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


@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_a_user_with_a_token_works_on_a_cluster_that_asks_for_it_and_on_one_that_has_none(
    mode: str, tmp_path: Path
) -> None:
    token = tmp_path / ".ray/auth_token"
    token.parent.mkdir()
    token.write_text("0" * 32)
    environment = {**os.environ, "HOME": str(tmp_path), "RAY_AUTH_MODE": mode}
    ended = subprocess.run(
        [sys.executable, "-c", CLUSTER, DRIVER], env=environment, capture_output=True, text=True, timeout=240
    )
    assert ended.stdout.strip().endswith("works"), ended.stderr


def test_a_user_without_the_token_of_a_cluster_is_told_where_to_get_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0" * 32)
    environment = {
        **os.environ, "HOME": str(tmp_path), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
    }  # fmt: skip
    driver = f"__import__('os').environ.pop('RAY_AUTH_TOKEN_PATH')\n{DRIVER}"
    ended = subprocess.run(
        [sys.executable, "-c", CLUSTER, driver], env=environment, capture_output=True, text=True, timeout=240
    )
    assert "ConfigError" in ended.stderr
    assert "asks for a token that this user does not have. Copy ~/.ray/auth_token" in ended.stderr
