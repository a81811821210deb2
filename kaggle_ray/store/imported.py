"""Predictions that were made elsewhere, by a team mate without kaggle_ray, beside the runs of their competition."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from kaggle_ray.errors import CorruptBlobError, StoreError
from kaggle_ray.store.arrays import npy_chunks
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.opening import open_blobs
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.store.trials import IMPORTED_FILE, RUN_FILE
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import FloatArray, Location, Predictions, StrArray, short_digest
from kaggle_ray.untrusted import MAX_LIST_BYTES, Bound, PathPart, Sha256

FoldsOfOthers = Literal["same", "other"]
"""Whether rows were predicted under the run's folds; under others, or under folds that nobody tells of."""
Share = Annotated[float, Bound("a share between 0 and 1", lambda value: 0 < value < 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedRecord:
    """What imported.json says."""

    name: PathPart
    """What a person calls them."""
    user: str
    """Name of whoever made them; empty where nobody said."""
    competition: PathPart
    folds_digest: str
    """Fold plan of the run that they were imported for, whose scored rows the out-of-fold predictions are of."""
    folds: FoldsOfOthers | None
    """Folds of the out-of-fold predictions; None where test rows alone are predicted."""
    share: Share | None
    """Share of the submission, where test rows alone are predicted: there is nothing to choose a weight by."""
    files: Mapping[str, Sha256]
    """``oof`` and ``test`` -> the digest of the file that was imported."""
    oof_ids: tuple[str, ...]
    """Ids of the scored rows; none where test rows alone are predicted."""
    test_ids: tuple[str, ...]
    digests: Mapping[PathPart, Sha256]
    """Name of each file of predictions beside this one -> its digest."""

    @property
    def member_id(self) -> str:
        """Id by content: the same predictions at the same share are one member, whatever they are called."""
        content = [dict(self.digests), list(self.oof_ids), list(self.test_ids), self.folds, self.share]
        return f"imported-{short_digest(content)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """Predictions that were made elsewhere. Nobody can prove what the models that made them had seen."""

    location: Location
    record: ImportedRecord
    oof: Predictions | None
    """Each scored row's; None where test rows alone are predicted."""
    test: Predictions


def save_imported(
    place: str, record: ImportedRecord, *, oof: FloatArray | None, test: FloatArray
) -> tuple[Location, ImportedRecord]:
    """Save predictions with ``record``, whose digests are filled in, at a place; imported.json comes last.

    Args:
        place: folder or URI, as ``open_blobs`` takes it.
        record: what is known of them.
        oof: (S, C) of the record's ``oof_ids``.
        test: (T, C) of its ``test_ids``.

    Raises:
        StoreError: a run is there, or other predictions under the same name.
    """
    blobs = open_blobs(place)
    arrays = {"oof.npy": oof, "test.npy": test}
    contents = {name: b"".join(npy_chunks([of], num_rows=len(of))) for name, of in arrays.items() if of is not None}
    value = asdict(record) | {"digests": {name: _digest(data) for name, data in contents.items()}}
    text = encode(value)
    if blobs.written_at(RUN_FILE) is not None or blobs.get(IMPORTED_FILE, max_bytes=MAX_LIST_BYTES) not in (None, text):
        raise StoreError(f"{blobs.location}: is there already, and is something else. Choose another --name.")
    for name, data in contents.items():
        blobs.put(name, data)
    blobs.put(IMPORTED_FILE, text)
    return Location(blobs.location), _parsed(blobs, text)


def open_imported(place: str | Path) -> Imported | None:
    """Return the predictions that were imported to a place, None where it is something else.

    Raises:
        CorruptBlobError: a file is missing, or is not the one that was saved.
    """
    blobs = open_blobs(place)
    data = blobs.get(IMPORTED_FILE, max_bytes=MAX_LIST_BYTES)
    if data is None:
        return None
    record = _parsed(blobs, data)
    oof = _predictions(blobs, record, "oof.npy", record.oof_ids) if record.folds is not None else None
    test = _predictions(blobs, record, "test.npy", record.test_ids)
    return Imported(location=Location(blobs.location), record=record, oof=oof, test=test)


def _parsed(blobs: Blobs, data: bytes) -> ImportedRecord:
    where = f"{blobs.location}/{IMPORTED_FILE}"
    return from_json(ImportedRecord, decode(data, where=where), where=where)


def _predictions(blobs: Blobs, record: ImportedRecord, name: str, ids: tuple[str, ...]) -> Predictions:
    data = blobs.get(name)
    got = None if data is None else _digest(data)
    if data is None or got != record.digests.get(name):
        raise CorruptBlobError(
            f"{blobs.location}/{name}: expected sha256 {record.digests.get(name)}, got {got or 'no file'}. "
            f"Remove the folder, and import the files again."
        )
    values: FloatArray = np.load(io.BytesIO(data), allow_pickle=False)
    sample_ids: StrArray = np.array(ids, dtype=np.str_)
    return Predictions(sample_ids=sample_ids, values=values)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
