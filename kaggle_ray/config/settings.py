"""How a run executes, as opposed to what it computes: resolved once into run.json, and the same on every resume."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kaggle_ray.cpus import num_cpus
from kaggle_ray.errors import ConfigError

Device = Literal["cpu", "cuda"]
Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a run is computed: with the same settings on the same machine type, a CPU run gives the same bytes.

    >>> from kaggle_ray import Settings
    >>> Settings(device="cpu", threads_per_trial=1, dtype="float32").world_size
    1
    """

    device: Device
    threads_per_trial: int
    """CPU threads of one process of a trial."""
    dtype: Dtype
    """Type of the numbers in the forward and backward pass; weights and predictions are float32."""
    world_size: int = 1
    """Processes that train a trial together, each with its own threads, or its own GPU."""
    compile: bool = False
    """Whether models are compiled by torch.compile: minutes at first, then faster steps."""
    loader_workers: int = 0
    """Processes beside a trial's own that read and augment its batches, which are the same for any number. Reading from
    the decode-once cache takes so little that 0, with threads beside a GPU, is fastest on most machines."""

    def __post_init__(self) -> None:
        """Raise ConfigError where a value is out of range."""
        if self.world_size < 1:
            raise ConfigError(f"processes per trial: expected at least 1, got {self.world_size}.")
        if self.threads_per_trial < 1:
            raise ConfigError(f"threads per trial: expected at least 1, got {self.threads_per_trial}.")
        if self.dtype == "float16" and self.device == "cpu":
            raise ConfigError("dtype float16 needs a GPU. Use float32 or bfloat16 on the CPU.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What this process may use."""

    num_cpus: int
    num_gpus: int
    cpu_has_bfloat16: bool = False
    """Whether the processor multiplies bfloat16 natively; a small network then trains about twice as fast."""
    joins_cluster: bool = False
    """Whether trials run on other machines, too, which may have GPUs where this one has none."""

    @staticmethod
    def here() -> Machine:
        """Look at this process's affinity, its processor and the GPUs that it may see; torch is not imported."""
        return Machine(num_cpus=num_cpus(), num_gpus=_count_gpus(), cpu_has_bfloat16=_cpu_has_bfloat16())

    def settings(
        self,
        *,
        device: Device | None = None,
        threads: int | None = None,
        dtype: Dtype | None = None,
        gpus_per_trial: float = 1.0,
    ) -> Settings:
        """Return settings with this machine's defaults where an argument is None.

        On the CPU a trial takes one core, so that as many trials run at once as there are cores: two trials of one
        thread do more work than one trial of two. On a GPU it takes its share of them.
        """
        chosen = device or ("cuda" if self.num_gpus else "cpu")
        self.check_device(chosen)
        if chosen == "cuda":
            share = max(1, self.num_cpus // (max(1, self.num_gpus) * trials_per_gpu(gpus_per_trial)))
            return Settings(device="cuda", threads_per_trial=threads or share, dtype=dtype or "bfloat16")
        default: Dtype = "bfloat16" if self.cpu_has_bfloat16 else "float32"
        return Settings(device="cpu", threads_per_trial=threads or 1, dtype=dtype or default)

    def check_device(self, device: Device) -> None:
        """Raise ConfigError for a GPU where there is none; what a cluster has is looked at once it is joined."""
        if device == "cuda" and not self.num_gpus and not self.joins_cluster:
            raise ConfigError("device cuda: no GPU is visible here. Leave --device out, or use --device cpu.")

    def num_slots(self, settings: Settings, *, gpus_per_trial: float = 1.0) -> int:
        """Return how many trials run at once under ``settings``; at least 1."""
        by_cpu = max(1, self.num_cpus // (settings.threads_per_trial * settings.world_size))
        by_gpu = max(1, self.num_gpus // settings.world_size) * trials_per_gpu(gpus_per_trial)
        return min(by_cpu, by_gpu) if settings.device == "cuda" else by_cpu


def trials_per_gpu(gpus_per_trial: float) -> int:
    """Return how many trials of one process share a GPU of which each takes ``gpus_per_trial``, at most 1.

    >>> trials_per_gpu(0.3)
    3
    """
    return int(1 / gpus_per_trial)


def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _count_gpus() -> int:
    """Ask nvidia-smi, respecting CUDA_VISIBLE_DEVICES; 0 where it is absent or fails."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return 0
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return 0
    present = sum(line.startswith("GPU ") for line in listing.splitlines())
    return present if visible is None else min(present, len(visible.split(",")))
