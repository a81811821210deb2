"""The files of a competition that a run leaves out, because they do not decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.datasets import unreadable_of
from kaggle_ray.store.run import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """What a run leaves out, and what that means for a run that was begun."""

    reasons: Mapping[str, str] = field(default_factory=dict)
    """Files, relative to the competition's folder -> why."""
    begins_anew: bool = False
    """Whether the run was begun with these files, and has come to nothing yet."""


def left_out(
    competition: Competition, samples: Samples, data_dir: Path, started: RunStore | None, *, skip: bool
) -> LeftOut:
    """Return the files that the run was started without, else where asked for those that are found now.

    A run that met them in its first try, and is told to ``skip`` them in the next, begins anew: its folds have them.

    Raises:
        ConfigError: it has results that were computed with them.
    """
    is_begun = started is not None and started.record() is not None
    if started is not None and is_begun and (started.has_looked_for_unreadable() or not skip):
        return LeftOut(reasons=started.unreadable())
    if not skip:
        return LeftOut()
    found = unreadable_of(competition, samples, default_cache_dir())
    reasons = {str(path.relative_to(data_dir)): reason for path, reason in sorted(found.items())}
    if started is not None and is_begun and reasons and started.has_results():
        raise ConfigError(
            f"--skip-unreadable: run {started.run_id} has results that were computed with "
            f"{counted(len(reasons), 'file')} that do "
            f"not decode now: {', '.join(list(reasons)[:5])}. Restore them, or start a new run with another --run-id."
        )
    return LeftOut(reasons=reasons, begins_anew=is_begun and bool(reasons))
