"""Addresses of clusters that are not there: no Ray is started."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.by_name import joins_cluster
from kaggle_ray.launch.ray_address import cluster_address
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE

REFUSED = "127.0.0.1:6399"


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of what takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_without_an_address_a_run_keeps_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_address(None) is None
    monkeypatch.setenv("RAY_ADDRESS", REFUSED)
    assert cluster_address("local") is None


def test_a_dead_address_of_the_environment_is_told_by_name_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", REFUSED)
    started = time.monotonic()
    with pytest.raises(ConfigError, match=rf"RAY_ADDRESS={REFUSED}.*nobody answers there.*--address local"):
        cluster_address(None)
    assert time.monotonic() - started < 15


def test_a_dead_address_is_told_before_any_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", REFUSED)
    data = tmp_path / "data"  # which the competition makes when it is read
    with pytest.raises(ConfigError, match=rf"RAY_ADDRESS={REFUSED}.*nobody answers there"):
        make_plan(RunOptions(competition=TOY_FILE, data=data, runs=tmp_path, experiments=[TINY], launcher="ray"))
    assert not data.exists()


def test_who_listens_is_asked_for_its_versions_only_when_ray_starts(silent: str) -> None:
    assert joins_cluster("ray", silent)
    assert not joins_cluster("local", silent)


def test_what_is_no_ray_is_told_in_seconds(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda address: address)  # as it is: on loopback
    started = time.monotonic()
    with pytest.raises(ConfigError, match=rf"--address {silent}: something listens there, and it is no Ray cluster"):
        cluster_address(silent)
    assert time.monotonic() - started < 30


def test_auto_never_falls_back_to_a_private_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where ray start notes the cluster that it began
    with pytest.raises(ConfigError, match="--address auto: no cluster was started on this machine"):
        cluster_address("auto")


@pytest.mark.parametrize(
    ("address", "why"), [("ray://head:10001", "driven from a machine of the cluster"), ("head", "a host and a port")]
)
def test_an_address_of_another_form_is_refused(address: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        cluster_address(address)
