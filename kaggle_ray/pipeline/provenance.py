"""Where a run came from: code version and local diff, package versions, hardware, command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from kaggle_ray.cpus import num_cpus
from kaggle_ray.store.record import CodeVersion, Hardware
from kaggle_ray.types import JsonValue

_PACKAGES = ("kaggle-ray", "numpy", "opencv-python-headless", "pandas", "ray", "scikit-learn", "timm", "torch",
             "torchvision")  # fmt: skip


def provenance(argv: Sequence[str] | None = None) -> dict[str, JsonValue]:
    """Return the facts that run.json keeps beside experiments, folds and settings."""
    return {
        "command": shlex.join(sys.argv if argv is None else argv),
        "code": asdict(code_version()),
        "python": platform.python_version(),
        "packages": package_versions(),
        "hardware": asdict(hardware()),
    }


def code_version() -> CodeVersion:
    """Return the commit of the checkout that holds the package and its uncommitted diff; None where there is no git."""
    checkout = Path(__file__).resolve().parent.parent.parent
    if not (checkout / ".git").exists():
        return CodeVersion(commit=None, diff=None)
    return CodeVersion(commit=_git(checkout, "rev-parse", "HEAD"), diff=_git(checkout, "diff", "HEAD"))


def _git(checkout: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, errors="replace", timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def package_versions(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Return the installed versions of ``packages``, by default of those that decide what a run computes."""
    versions: dict[str, str] = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def hardware() -> Hardware:
    """Return the processor, the cores that this process may use, the memory in GiB, the system and the GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Hardware(
        processor=_processor_name(),
        num_cpus=num_cpus(),
        memory_gib=round(memory, 1),
        system=f"{platform.system()} {platform.machine()}",
        gpus=_gpu_names(),
    )


def _gpu_names() -> tuple[str, ...]:
    """Return the names of the machine's GPUs, by NVIDIA's own tool: torch is not imported for it."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(done.stdout.splitlines()) if done.returncode == 0 else ()


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
