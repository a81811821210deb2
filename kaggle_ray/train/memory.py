"""How much memory a trial's process takes, where the machine says so."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """Return the memory of this process that is in RAM now, with pages that it shares; None where Linux is not."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def begin_gpu_peak(device: torch.device) -> None:
    """Let ``gpu_peak_bytes`` count from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def gpu_peak_bytes(device: torch.device) -> int | None:
    """Return the most that tensors of this process have taken of the GPU since ``begin_gpu_peak``; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
