"""How many cores this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def num_cpus(root: Path = _ROOT) -> int:
    """Return the cores of this process's affinity, where the system has any, within its cgroup's quota; at least 1.

    A container of ``docker run --cpus=2`` sees all cores of its machine, and is put to sleep where it uses more than 2.

    Args:
        root: of the file system that tells the quota.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        allowed = os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas in cores of this process's cgroup and of those around it.

    Source: the kernel's Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for controllers, group in (line.split(":", 2)[1:] for line in groups if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        own = mounted / group.lstrip("/")
        for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(mounted))):
            quota, period = _quota_in(folder, is_unified=not controllers)
            if quota > 0 and period > 0:
                yield quota / period


def _quota_in(folder: Path, *, is_unified: bool) -> tuple[int, int]:
    """Return the microseconds of a period that a cgroup may compute in, and the period; 0 and 0 without a limit."""
    names = ("cpu.max",) if is_unified else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    try:
        quota, period = " ".join((folder / name).read_text().strip() for name in names).split()
        return int(quota), int(period)
    except (OSError, ValueError):  # there is none, or it is "max"
        return 0, 0
