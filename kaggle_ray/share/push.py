"""Pushes a run into one's corner of a shared place: contents first, the index that names them last."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, StoreError
from kaggle_ray.reporters.envelope import this_host, this_user
from kaggle_ray.share.corner import Corner
from kaggle_ray.share.index import ORIGIN_FILE, SharedFile, SharedRun
from kaggle_ray.share.keys import is_weights, max_bytes_of
from kaggle_ray.store.attempt import attempt_key, result_key
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import FULL_DATA, Trial

_NUM_AT_ONCE = 8
"""Files that are on their way at the same time: most are small, and wait for an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What came of a push."""

    index: SharedRun
    num_new_files: int
    """Contents that were not there yet."""
    num_new_bytes: int


def push(store: RunStore, place: str, *, user: str | None = None, weights: bool = True, check: bool = False) -> Pushed:
    """Share a run as it is now, one that is going on too: the trials that have ended, the ensembles, the submissions.

    What is at the place already is not sent again, so a push that was cut short goes on where it was.

    Args:
        store: of the run.
        place: a folder, ``file:///folder`` or ``s3://bucket/prefix``.
        user: whose corner it is; None: of whoever runs this process.
        weights: send the weights, too, by which others can predict new rows.
        check: read what is there already, too, and replace it where it is not what its digest says.

    Raises:
        StoreError: it is no run, or a trial that is shared under its name is not this run's.
        CorruptBlobError: a file changes while it is read, or what arrived is not what was sent; or folds.csv is not the
            run's.
        LeaseError: another push under the same name is at work.
        ConfigError: it is somebody else's run, or one that only shows whether everything works.
    """
    corner = Corner(place, user or this_user())
    index = _index_of(store, corner.user, weights=weights)
    with corner.held():
        before = corner.revision(index.competition, index.run_id)
        if before is not None:
            _check_nothing_is_lost(before.index, index, where=corner.blobs.location)
        there = corner.digests()
        new = {file.sha256: key for key, file in index.files.items() if file.sha256 not in there}
        others = {file.sha256: key for key, file in index.files.items() if file.sha256 in there} if check else {}
        with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
            sent = [pool.submit(_send, store, corner, key, index.files[key]) for key in new.values()]
            sent += [pool.submit(_mend, store, corner, key, index.files[key]) for key in others.values()]
            try:
                for each in sent:
                    each.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        corner.commit(index, after=before)
    return Pushed(
        index=index, num_new_files=len(new), num_new_bytes=sum(index.files[key].num_bytes for key in new.values())
    )


def _send(store: RunStore, corner: Corner, key: str, file: SharedFile) -> None:
    corner.put(file, store.blobs.chunks(key))


def _mend(store: RunStore, corner: Corner, key: str, file: SharedFile) -> None:
    try:
        corner.check(file)
    except StoreError:
        _send(store, corner, key, file)


def _index_of(store: RunStore, user: str, *, weights: bool) -> SharedRun:
    record = store.known_record()
    if record.fast_dev:
        raise ConfigError(f"{store.location}: is a fast-dev run, which only shows whether everything works.")
    if store.blobs.written_at(ORIGIN_FILE) is not None:
        raise ConfigError(f"{store.location}: was pulled: it is somebody else's, who shares it.")
    store.folds_csv()  # team mates score by it: one that was changed since is refused
    keys = [key for key in _keys(store, record.num_folds) if weights or not is_weights(key)]
    return SharedRun(
        competition=store.competition_name,
        run_id=store.run_id,
        user=user,
        host=this_host(),
        pushed_at=time.time(),
        folds_digest=record.folds_digest,
        files={key: _described(store, key) for key in keys},
    )


def _keys(store: RunStore, num_folds: int) -> Iterator[str]:
    """Yield the files of the run as it is now: of trials those of the attempt that was committed."""
    trials = [
        Trial(experiment_id=experiment.experiment_id, fold=fold)
        for experiment in store.experiments()
        for fold in (*range(num_folds), FULL_DATA)
    ]
    ended = {
        key
        for trial, result in store.results(trials).items()
        for key in (result_key(trial), *(attempt_key(trial, result.attempt_id, name) for name in result.blobs))
    }
    for key in store.blobs.list(""):
        is_of_trial = key.startswith("trials/") and not key.endswith("/experiment.json")
        if max_bytes_of(key) is not None and (key in ended or not is_of_trial):
            yield key


def _described(store: RunStore, key: str) -> SharedFile:
    digest, num_bytes = hashlib.sha256(), 0
    for chunk in store.blobs.chunks(key):
        digest.update(chunk)
        num_bytes += len(chunk)
    return SharedFile(sha256=digest.hexdigest(), num_bytes=num_bytes)


def _check_nothing_is_lost(before: SharedRun, now: SharedRun, *, where: str) -> None:
    """Raise StoreError where the shared run has a trial that is not this run's: it would not be shared any more."""
    lost = [key for key in _results(before) if now.files.get(key) != before.files[key]]
    if lost:
        raise StoreError(
            f"{where}: {now.competition}/{now.run_id} was pushed from {before.host}, and has "
            f"{counted(len(lost), 'trial')} that "
            f"this run has not, such as {lost[0].removesuffix('/result.json')}: it is another run of the same name. "
            f"Share this one under another name with --user, or remove that one first: kaggle-ray delete."
        )


def _results(index: SharedRun) -> Mapping[str, SharedFile]:
    return {key: file for key, file in index.files.items() if key.endswith("/result.json")}
