"""What a shared run has to be before any of it is taken: all that it says fits together, and is data."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from kaggle_ray.combine.saved import saved_ensembles
from kaggle_ray.counted import counted
from kaggle_ray.data.duplicate_groups import NearDuplicates
from kaggle_ray.data.folds_csv import ids_by_fold
from kaggle_ray.data.reading import Reading
from kaggle_ray.errors import CorruptBlobError
from kaggle_ray.pool.ledger import check_place
from kaggle_ray.share.index import SharedFile, SharedRun
from kaggle_ray.share.keys import is_weights
from kaggle_ray.store.attempt import attempt_key
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.saved import saved_submission
from kaggle_ray.types import FULL_DATA, Trial, TrialResult

_MAX_HEADER_BYTES = 1024
"""Size of the header of an .npy file; ours have 128."""


def check_run(store: RunStore, index: SharedRun) -> None:
    """Read all that a shared run says of itself, and hold it to its index, its folds and the types of the store.

    Raises:
        SchemaVersionError: a file was written by another version of the schema.
        JsonShapeError: a file says what none of ours does.
        CorruptBlobError: files contradict each other.
        LeakError: a trial was made with another fold plan, or predicts other rows than its fold scores.
    """
    record = store.record()
    assert record is not None, "an index names it"
    if (record.competition, record.folds_digest) != (index.competition, index.folds_digest):
        raise CorruptBlobError(
            f"{store.location}: expected {index.competition} under fold plan {index.folds_digest}, got "
            f"{record.competition} under {record.folds_digest}."
        )
    ids = [experiment.experiment_id for experiment in store.experiments()]
    if strange := [each for each in ids if not re.fullmatch("[0-9a-f]{12}", each)]:
        raise CorruptBlobError(f"{store.location}: expected ids of 12 hex digits, got {strange[0]!r}.")
    trials = [Trial(experiment_id=each, fold=fold) for each in ids for fold in (*range(record.num_folds), FULL_DATA)]
    results = store.results(trials)
    _check_files(store, index, results.values())
    _check_places(store, record, results)
    saved_ensembles(store)
    for key in store.blobs.list("submissions/"):
        if key.endswith(".json"):
            saved_submission(store, key.removeprefix("submissions/").removesuffix(".json"))
    NearDuplicates.from_json(store.near_duplicates())
    store.unreadable()
    Reading.recorded(store.reading(), where=store.location)


def _check_files(store: RunStore, index: SharedRun, results: Iterable[TrialResult]) -> None:
    """Raise CorruptBlobError where trials lack files, or have some that no result names; weights may be absent."""
    named = {
        attempt_key(result.trial, result.attempt_id, name): digest
        for result in results
        for name, digest in result.blobs.items()
    }
    for key, digest in named.items():
        file = index.files.get(key)
        if (file is not None or not is_weights(key)) and (file is None or file.sha256 != digest):
            got = file.sha256 if file else "no file"
            raise CorruptBlobError(f"{store.location}/{key}: expected sha256 {digest}, got {got}.")
    if extra := [key for key in index.files if "/attempts/" in key and key not in named]:
        raise CorruptBlobError(f"{store.location}/{extra[0]}: is a file of no trial.")


def _check_places(store: RunStore, record: RunRecord, results: Mapping[Trial, TrialResult]) -> None:
    of_folds = ids_by_fold(store.folds_csv() or "")
    for trial, result in results.items():
        if result.status == "committed":
            check_place(
                trial,
                store.lineage(result),
                scored_ids=store.scored_ids(result),
                expected_ids=of_folds.get(trial.fold, np.array([], dtype=np.str_)),
                folds_digest=record.folds_digest,
            )


def checked_array(chunks: Iterator[bytes], file: SharedFile, *, where: str) -> Iterator[bytes]:
    """Yield the chunks of an .npy file, the first of them only if it is a plain table of numbers of the file's size.

    Raises:
        CorruptBlobError: it holds objects, which a pickle would make, or declares other rows than there are.
    """
    begun = b""
    for chunk in chunks:
        begun += chunk
        if len(begun) >= _MAX_HEADER_BYTES:
            break
    _check_header(begun, file, where=where)
    yield begun
    yield from chunks


def _check_header(begun: bytes, file: SharedFile, *, where: str) -> None:
    stream = io.BytesIO(begun)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"of format {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_MAX_HEADER_BYTES)
    except ValueError as error:
        raise CorruptBlobError(f"{where}: is no .npy file of ours: {error}.") from error
    if dtype not in (np.float32, np.float64, np.uint8) or len(shape) != 2 or min(shape) < 0:
        raise CorruptBlobError(f"{where}: expected rows of float32, float64 or uint8, got {dtype} {shape}.")
    if (expected := stream.tell() + math.prod(shape) * dtype.itemsize) != file.num_bytes:
        raise CorruptBlobError(
            f"{where}: {shape} {dtype} takes {counted(expected, 'byte')}, and it has {file.num_bytes:,}."
        )
