"""A Ray of this machine alone, which is started for a run and ended with it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.config.settings import Settings
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.launch.ray_session import RaySession, ray_session
from kaggle_ray.testing.crash import descendants

pytestmark = [pytest.mark.slow, pytest.mark.ray]

HALF_A_GPU = Settings(device="cuda", threads_per_trial=1, dtype="float32")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RaySession]:
    """Two slots that share a GPU, with a dashboard, below a TMPDIR too long for a socket; nothing is left of it."""
    long = tmp_path_factory.mktemp("long") / ("slurm_job_of_a_user_with_a_long_name_" * 3)
    long.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_TMPDIR", str(long))
        variable = os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
        others = set(descendants(os.getpid()))
        with ray_session(HALF_A_GPU, RayPlacement(num_slots=2, gpus_per_trial=0.5, dashboard=True)) as session:
            yield session
        assert set(descendants(os.getpid())) <= others, "no process of Ray is left"
        assert os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") == variable


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


def test_it_is_of_processes_of_its_own_that_listen_on_loopback_alone(session: RaySession) -> None:
    import ray

    assert (session.num_slots, session.is_cluster) == (2, False)
    worker = ray.get(ray.remote(lambda: os.getpid()).options(num_cpus=0).remote())
    assert worker in descendants(os.getpid())
    assert {address.removeprefix("::ffff:") for address in listening(os.getpid())} == {"127.0.0.1"}
    for token in Path.home().glob(".ray/auth_token"):
        assert token.stat().st_mode & 0o077 == 0, "it is this user's alone"


def test_its_workers_stand_back_no_further_than_the_run_itself(session: RaySession) -> None:
    import ray

    assert ray.get(ray.remote(lambda: os.nice(0)).options(num_cpus=0).remote()) == os.nice(0)


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_its_dashboard_answers_on_loopback(session: RaySession) -> None:
    assert session.dashboard
    assert session.dashboard.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(session.dashboard.url, timeout=60) as page:
        assert "<title>Ray Dashboard</title>" in page.read().decode()
    assert session.dashboard.asks_for_token == (_status(f"{session.dashboard.url}/api/version") == 401)


def test_two_trials_of_half_a_gpu_each_run_at_once_on_the_same_one(session: RaySession) -> None:
    import ray

    @ray.remote(num_cpus=session.needed["CPU"], num_gpus=session.needed["GPU"])
    class Slot:
        def gpus(self) -> list[int]:
            return list(ray.get_gpu_ids())

    slots = [Slot.remote() for _ in range(3)]  # type: ignore[attr-defined]
    placed, waiting = ray.wait([slot.gpus.remote() for slot in slots], num_returns=2, timeout=120)
    assert ray.get(placed) == [[0], [0]], "one GPU is all that they need"
    assert ray.wait(waiting, timeout=1)[1] == waiting, "a third finds no room"
    for slot in slots:
        ray.kill(slot)
