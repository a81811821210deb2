"""What a trial's process needs to know of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kaggle_ray.config.clock import SteadyClock
from kaggle_ray.config.settings import Settings
from kaggle_ray.config.sources import SourceBundle
from kaggle_ray.data.folds import FoldScheme


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialContext:
    """What a trial's process has to know of the run; small, so that it travels to every actor."""

    sources: SourceBundle
    """The competition's file and what it imports, for machines that do not have them."""
    data: str
    """The folder of the competition's files, or the URI that each machine stages them from."""
    location: str
    """Where the run is, for ``open_run``: a place that all machines of the cluster reach by this name."""
    settings: Settings
    clock: SteadyClock = field(default_factory=SteadyClock)
    """Clock that tells the time for ``stop_at``."""
    stop_at: float | None = None
    """Seconds since the Unix epoch after which no further epoch begins."""
    checkpoint_every_s: float = 30.0
    """Seconds from one checkpoint of a trial to the next, at least; 0: one after every step, whatever it costs."""
    only_ids: frozenset[str] | None = None
    """Ids of the samples that the run is cut to; None is all."""
    folds: FoldScheme | None = None
    """Scheme of folds that the user gave a file of; None is the competition's."""
    full_data_epochs: Mapping[str, int] = field(default_factory=dict)
    """Experiment id -> the epochs of its trial of the whole data, which has no rows to choose an epoch by."""
    metrics: tuple[str, ...] = ()
    """Metrics that are measured beside those that the competition's file names."""
    cache_variables: Mapping[str, str] = field(default_factory=dict)
    """Which cache the user named, and how large it may be, for machines that know of none: see ``adopt_variables``."""
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kind -> names of what the user gave itself in the place of a registered name, for processes that import it."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials of S3 that the user named, for processes that know of none: see ``adopt_credentials``."""
