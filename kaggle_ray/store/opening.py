"""The one way to a run, wherever it lives: who holds a store does not know whether it is a folder."""

from __future__ import annotations

from pathlib import Path

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.errors import ConfigError, StoreError
from kaggle_ray.store.bucket_lease import BucketLease
from kaggle_ray.store.diary import BlobDiary, FileDiary
from kaggle_ray.store.lease import FolderLease, Lease
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.store.run import EVENTS_FILE, EVENTS_FOLDER, FAST_DEV, RUN_FILE, RunStore
from kaggle_ray.store.s3 import S3Blobs
from kaggle_ray.store.trials import is_imported
from kaggle_ray.uri import path_of_uri


def open_run(where: str | Path) -> RunStore:
    """Return the store of a run, whether it was begun or not; nothing is written.

    Args:
        where: its folder, as a ``file://`` URI where all machines share it, or ``s3://bucket/prefix``.

    Raises:
        ConfigError: there is no such kind of place.
    """
    blobs = open_blobs(where)
    if isinstance(blobs, LocalBlobs):
        return RunStore(blobs, lease_of(blobs), FileDiary(blobs.root / EVENTS_FILE))
    return RunStore(blobs, lease_of(blobs), BlobDiary(blobs, EVENTS_FOLDER))


def lease_of(blobs: LocalBlobs | S3Blobs) -> Lease:
    """Return the right to write into a place, which one process has at a time."""
    return FolderLease(blobs.root) if isinstance(blobs, LocalBlobs) else BucketLease(blobs)


def place_of(runs: str | Path, *names: str) -> str:
    """Return what ``open_run`` takes for a run, or a folder of runs, below ``runs``: the same from every folder."""
    if is_uri(runs):
        return "/".join((str(runs).rstrip("/"), *names))
    return str(Path(runs).absolute().joinpath(*names))


def folder_of(location: str) -> Path:
    """Return the folder of a run. Raises StoreError where it has none on this machine."""
    blobs = open_blobs(location)
    if not isinstance(blobs, LocalBlobs):
        raise StoreError(f"{location}: is no folder. Open it by kaggle_ray.store.opening.open_run.")
    return blobs.root


def list_runs(runs: str | Path) -> list[RunStore]:
    """Return the runs under ``runs/<competition>/<run_id>``, sorted by place; fast-dev runs are none.

    Raises:
        ConfigError: there is none, as it is a run itself, or has those of one competition.
    """
    competitions = open_blobs(runs).folders("")
    found = [run for competition in competitions for run in list_runs_of(runs, competition)]
    if not found:
        check_has_competitions(runs)
    return found


def check_is_no_run(runs: str | Path) -> None:
    """Raise ConfigError where what is named as the folder of the run folders is a run itself."""
    blobs = open_blobs(runs)
    if blobs.written_at(RUN_FILE) is not None:
        raise ConfigError(
            f"--runs {runs}: is a run itself, where the folder of the run folders was expected, "
            f"{_folder_above(blobs.location, 2)}. To mean this run, name it in the place of RUN, without --runs."
        )


def check_has_competitions(runs: str | Path) -> None:
    """Raise ConfigError where the folder of the run folders is a run itself, or has those of one competition."""
    check_is_no_run(runs)
    blobs = open_blobs(runs)
    if any(blobs.written_at(f"{name}/{RUN_FILE}") is not None for name in blobs.folders("")):
        raise ConfigError(
            f"{runs}: has the runs of one competition, where the folder of all run folders was expected, "
            f"{_folder_above(blobs.location, 1)}."
        )


def _folder_above(location: str, levels: int) -> str:
    return location.rstrip("/").rsplit("/", levels)[0]


def list_runs_of(runs: str | Path, competition: str) -> list[RunStore]:
    """Return the runs of one competition, sorted by place; fast-dev runs are none."""
    blobs = open_blobs(runs)
    return [
        open_run(f"{blobs.location}/{competition}/{run_id}")
        for run_id in blobs.folders(competition)
        if not run_id.startswith(FAST_DEV) and blobs.written_at(f"{competition}/{run_id}/{RUN_FILE}") is not None
    ]


def list_imported(runs: str | Path) -> list[str]:
    """Return the places below ``runs`` with predictions that were imported, sorted; see ``store.imported``."""
    blobs = open_blobs(runs)
    beside = {run.location for run in list_runs(runs)}
    places = [f"{blobs.location}/{of}/{name}" for of in blobs.folders("") for name in blobs.folders(of)]
    return [place for place in places if place not in beside and is_imported(open_blobs(place))]


def is_uri(where: str | Path) -> bool:
    """Return whether a place is named by a URI: whoever names it so says that every machine reaches it."""
    return isinstance(where, str) and "://" in where


def open_blobs(where: str | Path) -> LocalBlobs | S3Blobs:
    """Return the blob store of a place, which is named as for ``open_run``; nothing is written."""
    if not is_uri(where):
        return LocalBlobs(Path(where))
    scheme = str(where).partition("://")[0]
    if scheme == "file":
        return LocalBlobs(path_of_uri(str(where)))
    if scheme == "s3":
        return S3Blobs(str(where), default_cache_dir())
    raise ConfigError(f"{where}: expected a folder, file:///folder or s3://bucket/prefix.")
