"""Where Ray runs the trials of a run, and how many at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class RayPlacement:
    """Where Ray runs the trials of a run, and how many at once."""

    num_slots: int
    """Trials at once on a Ray of this machine alone."""
    most_at_once: int | None = None
    """Trials at once on a cluster; None: as many as it has room for."""
    gpus_per_trial: float = 1.0
    """The share of a GPU that a trial of one process takes; one of several takes a whole one for each."""
    address: str | None = None
    """``local``, ``auto`` or a host and a port, as ``cluster_address`` takes it; None: what RAY_ADDRESS says."""
    dashboard: bool = False
    """Whether a Ray of this machine alone has Ray's dashboard."""
    results_folder: Path | None = None
    """Where Tune's own record is kept, in a folder of each session; None: nowhere."""
