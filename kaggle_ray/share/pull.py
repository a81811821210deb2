"""Pulls what others share: all of it is checked before a byte is written, and nothing of it is run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, StoreError, suggest
from kaggle_ray.share.corner import Corner, Revision, corners
from kaggle_ray.share.door import check_run, checked_array
from kaggle_ray.share.index import ORIGIN_FILE, SharedFile, SharedRun, parse_index
from kaggle_ray.share.keys import is_weights, max_bytes_of
from kaggle_ray.share.view import open_shared
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.store.opening import list_runs_of, open_run
from kaggle_ray.store.run import RUN_FILE, RunStore
from kaggle_ray.untrusted import MAX_JSON_BYTES

_NUM_AT_ONCE = 8
"""Files that are on their way at the same time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """What came of a pull."""

    index: SharedRun
    folder: Path
    """The run, on this machine."""
    num_new_files: int
    num_new_bytes: int


def find_shared(place: str, *, user: str | None = None, run_id: str | None = None) -> list[tuple[Corner, Revision]]:
    """Return the runs that are shared at a place.

    Args:
        place: a folder, ``file:///folder`` or ``s3://bucket/prefix``.
        user: whose; None: everybody's.
        run_id: ``RUN`` or ``COMPETITION/RUN``; None: all.

    Raises:
        ConfigError: there is none.
        StoreError: an index says what none of ours does.
    """
    those = [each for each in corners(place) if user in (None, each.user)]
    names = [(corner, *of_run) for corner in those for of_run in corner.runs()]
    wanted = [
        (corner, competition, each)
        for corner, competition, each in names
        if run_id in (None, each, f"{competition}/{each}")
    ]
    if not wanted:
        known = {each for _, _, each in names}
        whose = f" of {user}" if user else ""
        what = f" {run_id!r}{suggest(run_id, known)}" if run_id and known else "."
        raise ConfigError(f"{place}: there is no shared run{whose}{what}")
    found = ((corner, corner.revision(competition, each)) for corner, competition, each in wanted)
    return [(corner, revision) for corner, revision in found if revision is not None]


def pull(corner: Corner, index: SharedRun, to: Path, *, weights: bool = True, max_bytes: int) -> Pulled:
    """Copy a shared run to ``to/<user>/<competition>/<run>``, or what of it is not there yet.

    A file is seen in full or not at all, run.json comes last, and what the run has no more is removed.

    Args:
        corner: where it is shared.
        index: of the run.
        to: folder of pulled runs.
        weights: fetch the weights, too.
        max_bytes: that all files may have together.

    Raises:
        StoreError: it is larger, or the folder is another run's.
        KaggleRayError: it is not what a run of ours is: see ``check_run``; nothing is written then.
    """
    wanted = {key: file for key, file in index.files.items() if weights or not is_weights(key)}
    num_bytes = sum(file.num_bytes for file in wanted.values())
    if num_bytes > max_bytes:
        raise StoreError(
            f"{corner.blobs.location}: {index.name} has {counted(num_bytes, 'byte')}, and at most {max_bytes:,} are "
            "pulled. --max-gib allows more, --no-weights needs less."
        )
    check_run(open_shared(corner, index), index)
    target = LocalBlobs(to / index.name)
    _check_is_pulled(target, index)
    target.put(ORIGIN_FILE, index.to_bytes())
    new = {key: file for key, file in wanted.items() if target.digest(key) != file.sha256}
    with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
        fetched = [pool.submit(_fetch, corner, target, key, file) for key, file in new.items() if key != RUN_FILE]
        try:
            for each in fetched:
                each.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for key in target.list(""):
        if max_bytes_of(key) is not None and key not in index.files:
            target.delete_file(key)
    if RUN_FILE in new:
        _fetch(corner, target, RUN_FILE, new[RUN_FILE])
    return Pulled(
        index=index,
        folder=target.root,
        num_new_files=len(new),
        num_new_bytes=sum(file.num_bytes for file in new.values()),
    )


def folds_text(index: SharedRun, runs: str | Path) -> str:
    """Return in a sentence whether the folds of a shared run are those of one's own runs of its competition.

    Args:
        index: of the shared run.
        runs: folder of one's own runs.
    """
    own = list_runs_of(runs, index.competition)
    records = [record for run in own if (record := run.record()) is not None]
    if not records:
        return f"You have no run of {index.competition} in {runs} to compare its folds with."
    same = [record.run_id for record in records if record.folds_digest == index.folds_digest]
    if not same:
        return f"It has other folds than your runs of {index.competition}, and is not ensembled with them."
    return f"It has the folds of your run {same[-1]}, and may be ensembled with it."


def origin_of(run: RunStore) -> SharedRun | None:
    """Return the index that a run was pulled by, None where it was not."""
    data = run.blobs.get(ORIGIN_FILE, max_bytes=MAX_JSON_BYTES)
    return None if data is None else parse_index(data, where=f"{run.location}/{ORIGIN_FILE}")


def _check_is_pulled(target: LocalBlobs, index: SharedRun) -> None:
    """Raise StoreError where a run is already there that was not pulled from the same person."""
    origin = origin_of(open_run(target.root))
    if origin.name != index.name if origin else target.written_at(RUN_FILE) is not None:
        raise StoreError(f"{target.root}: is another run, which is not overwritten. Name another folder with --to.")


def _fetch(corner: Corner, target: LocalBlobs, key: str, file: SharedFile) -> None:
    chunks = corner.chunks(file)
    target.put(key, checked_array(chunks, file, where=key) if key.endswith(".npy") else chunks)
