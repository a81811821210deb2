from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaggle_ray.config.settings import Device, Dtype, Machine, Settings
from kaggle_ray.errors import ConfigError

TWO_GPUS = 'echo "GPU 0: NVIDIA H200 (UUID: GPU-0)"; echo "GPU 1: NVIDIA H200 (UUID: GPU-1)"'


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A nvidia-smi that is found first; it lists two GPUs until the test writes another."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    write_program(program, TWO_GPUS)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return program


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_gpus_are_those_that_nvidia_smi_lists(nvidia_smi: Path) -> None:
    assert Machine.here().num_gpus == 2
    assert Machine.here().settings().device == "cuda"


def test_lines_about_slices_of_a_gpu_are_no_gpus(nvidia_smi: Path) -> None:
    write_program(nvidia_smi, 'echo "GPU 0: NVIDIA H200 (UUID: GPU-0)"; echo "  MIG 1g.18gb Device 0: (UUID: MIG-0)"')
    assert Machine.here().num_gpus == 1


@pytest.mark.parametrize(
    ("visible", "num_gpus"), [("", 0), (" ", 0), ("-1", 0), ("0", 1), ("1", 1), ("0,1", 2), ("0,1,2,3", 2)]
)
def test_only_visible_gpus_count(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch, visible: str, num_gpus: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert Machine.here().num_gpus == num_gpus


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'", "echo Failed >&2; exit 1"])
def test_a_driver_that_does_not_answer_means_no_gpu(nvidia_smi: Path, script: str) -> None:
    write_program(nvidia_smi, script)
    assert Machine.here().num_gpus == 0
    assert Machine.here().settings().device == "cpu"


def test_without_nvidia_smi_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Machine.here().num_gpus == 0


def test_the_cores_are_those_that_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert Machine.here().num_cpus == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("machine", "device", "threads", "dtype", "expected", "num_slots"),
    [
        (Machine(num_cpus=4, num_gpus=0), None, None, None, ("cpu", 1, "float32"), 4),
        (Machine(num_cpus=4, num_gpus=0, cpu_has_bfloat16=True), None, None, None, ("cpu", 1, "bfloat16"), 4),
        (Machine(num_cpus=4, num_gpus=0), None, 3, None, ("cpu", 3, "float32"), 1),
        (Machine(num_cpus=4, num_gpus=0), None, 8, None, ("cpu", 8, "float32"), 1),
        (Machine(num_cpus=16, num_gpus=2), None, None, None, ("cuda", 8, "bfloat16"), 2),
        (Machine(num_cpus=16, num_gpus=2), None, 4, "float16", ("cuda", 4, "float16"), 2),
        (Machine(num_cpus=1, num_gpus=8), None, None, None, ("cuda", 1, "bfloat16"), 1),
        (Machine(num_cpus=16, num_gpus=2), "cpu", None, None, ("cpu", 1, "float32"), 16),
    ],
)
def test_defaults_fill_the_machine(
    machine: Machine,
    device: Device | None,
    threads: int | None,
    dtype: Dtype | None,
    expected: tuple[str, int, str],
    num_slots: int,
) -> None:
    settings = machine.settings(device=device, threads=threads, dtype=dtype)
    assert (settings.device, settings.threads_per_trial, settings.dtype) == expected
    assert machine.num_slots(settings) == num_slots


@pytest.mark.parametrize(
    ("gpus_per_trial", "threads", "num_slots"), [(1.0, 8, 2), (0.5, 4, 4), (0.3, 2, 6), (0.25, 2, 8), (0.01, 1, 16)]
)
def test_trials_that_share_a_gpu_share_its_cores(gpus_per_trial: float, threads: int, num_slots: int) -> None:
    machine = Machine(num_cpus=16, num_gpus=2)
    settings = machine.settings(gpus_per_trial=gpus_per_trial)
    assert settings.threads_per_trial == threads
    assert machine.num_slots(settings, gpus_per_trial=gpus_per_trial) == num_slots


def test_a_gpu_that_is_not_there_is_an_error_with_the_next_step() -> None:
    with pytest.raises(ConfigError, match=r"device cuda: no GPU is visible here\. .*--device cpu"):
        Machine(num_cpus=4, num_gpus=0).settings(device="cuda")


def test_settings_out_of_range_are_errors() -> None:
    with pytest.raises(ConfigError, match="threads per trial: expected at least 1, got 0"):
        Settings(device="cpu", threads_per_trial=0, dtype="float32")
    with pytest.raises(ConfigError, match="dtype float16 needs a GPU"):
        Settings(device="cpu", threads_per_trial=1, dtype="float16")


def test_a_gpu_that_only_the_nodes_of_a_cluster_have_may_be_asked_for() -> None:
    head = Machine(num_cpus=4, num_gpus=0, joins_cluster=True)
    assert head.settings().device == "cpu"
    assert head.settings(device="cuda", threads=8).threads_per_trial == 8
