"""The cores that a process may use are those of its affinity and of its container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaggle_ray.cpus import num_cpus


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert num_cpus(tmp_path) == 8


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("350000 100000", 3), ("", 8)]
)
def test_the_quota_of_a_container_counts(tmp_path: Path, quota: str, cores: int) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", quota)
    assert num_cpus(tmp_path) == cores


def test_the_quota_of_a_group_around_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/slurm/job7/step0\n")
    write(tmp_path / "sys/fs/cgroup/slurm/job7/cpu.max", "400000 100000\n")
    write(tmp_path / "sys/fs/cgroup/slurm/job7/step0/cpu.max", "max 100000\n")
    assert num_cpus(tmp_path) == 4


def test_the_quota_of_the_first_version_of_cgroups_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/a\n")
    write(tmp_path / "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "150000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "50000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert num_cpus(tmp_path) == 3


def test_a_system_without_affinity_has_all_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert num_cpus(tmp_path) == 10
