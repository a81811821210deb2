"""The runs at a place, and whose they are: a run, a folder of runs, of pulled ones, or what a team shares.

Predictions that were imported are found by their own place alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from kaggle_ray.errors import ConfigError, KaggleRayError
from kaggle_ray.share.corner import corners
from kaggle_ray.share.pull import origin_of
from kaggle_ray.share.view import open_shared
from kaggle_ray.store.imported import Imported, open_imported
from kaggle_ray.store.opening import list_runs, open_blobs, open_run, place_of
from kaggle_ray.store.run import RunStore
from kaggle_ray.store.trials import is_imported, why_no_run


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnedRun:
    """A run, and whose it is."""

    user: str
    """Empty where nothing says so: of a run that was not shared."""
    store: RunStore


def runs_at(*places: str) -> tuple[list[OwnedRun], list[str]]:
    """Return the runs that a person means by places, each once, and a line for each whose index cannot be read.

    Args:
        places: each a run, a folder of runs, the folder of pulled runs, or where runs are shared.

    Raises:
        ConfigError: there is none at one of them.
    """
    at = [_runs_at(place) for place in places]
    found = {each.store.location: each for of_place, _ in at for each in of_place}
    return list(found.values()), [error for _, errors in at for error in errors]


def imported_at(*places: str) -> tuple[list[Imported], list[str]]:
    """Return the predictions that were imported to places, and the places of something else.

    Raises:
        CorruptBlobError: predictions are not the ones that were imported.
    """
    found = [(place, open_imported(place)) for place in dict.fromkeys(places)]
    imported = [each for _, each in found if each is not None]
    return imported, [place for place, each in found if each is None]


def _runs_at(place: str) -> tuple[list[OwnedRun], list[str]]:
    run = open_run(place)
    if run.record() is not None:
        return [_owned(run)], []
    if is_imported(run.blobs):
        raise ConfigError(why_no_run(run.blobs))
    found, errors = _shared(place)
    found += map(_owned, list_runs(place))
    if not found and not errors:
        found = [_owned(each) for user in open_blobs(place).folders("") for each in list_runs(place_of(place, user))]
    if not found and not errors:
        raise ConfigError(f"{place}: there is no run. Name a run, a folder of runs, or a place where some are shared.")
    return found, errors


def _owned(run: RunStore) -> OwnedRun:
    origin = origin_of(run)
    return OwnedRun(user=origin.user if origin else "", store=run)


def _shared(place: str) -> tuple[list[OwnedRun], list[str]]:
    found, errors = list[OwnedRun](), list[str]()
    for corner in corners(place):
        for of_run in corner.runs():
            try:
                revision = corner.revision(*of_run)
            except KaggleRayError as error:  # one bad run does not hide the others
                errors.append(str(error))
                continue
            if revision is not None:
                found.append(OwnedRun(user=corner.user, store=open_shared(corner, revision.index)))
    return found, errors
