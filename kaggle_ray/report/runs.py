"""The run that a person means: by its place, its id, or its competition's name."""

from __future__ import annotations

from pathlib import Path

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.store.opening import list_runs, open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.store.trials import is_imported, why_no_run


def find_run(named: str | None, runs: str | Path) -> RunStore:
    """Return the run that a person means: a run folder, the id of a run below ``runs``, or a competition's latest run.

    Args:
        named: what was typed; None is the latest run of all.
        runs: folder of the run folders.

    Raises:
        ConfigError: there is no such run.
    """
    if (found := run_named(named, runs)) is not None:
        return found
    known = list_runs(runs)
    names = {name for each in known for name in (each.run_id, each.competition_name)}
    what = f"there is no run {named!r}{suggest(named, names)}" if named and names else "there is no run."
    raise ConfigError(f"{runs}: {what} Name its folder, or the folder of the run folders with --runs.")


def run_named(named: str | None, runs: str | Path) -> RunStore | None:
    """Return the run that a person means, as ``find_run`` does, None where there is none such.

    Raises:
        ConfigError: imported predictions are named, which are no run.
    """
    if named is not None and "/" in named:
        run = open_run(named)
        if run.record() is not None:
            return run
        if is_imported(run.blobs):
            raise ConfigError(why_no_run(run.blobs))
    meant = [each for each in list_runs(runs) if named in (None, each.run_id, each.competition_name)]
    return max(meant, key=lambda run: run.diary.written_at() or run.begun_at(), default=None)


def place_named(named: str, runs: str | Path) -> str:
    """Return where the run is that is named by its id or by its competition's name; a place as it is.

    Raises:
        ConfigError: it is no place, and there is no such run.
    """
    is_place = "/" in named or Path(named).exists()
    return named if is_place else find_run(named, runs).location
