"""One try at a trial: files under its own id, and the commit that names them."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kaggle_ray.errors import CorruptBlobError
from kaggle_ray.store.arrays import npy_chunks
from kaggle_ray.store.blobs import Blobs, Content
from kaggle_ray.store.schema import decode, encode, lineage_to_json, result_from_json, result_to_json
from kaggle_ray.types import Lineage, StoredValues, StrArray, Trial, TrialResult
from kaggle_ray.untrusted import MAX_JSON_BYTES, AttemptFile, PathPart, file_chunks, file_digest

WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FILE = "manifest.json"
TEST_FILE = "test.npy"
GRAPH_ENDING = ".onnx"
"""Ending of the files of a model's graphs, which a package has beside its weights."""

Part = Literal["valid", "test"]
"""Part of a trial's predictions: of its fold's own rows, or of the test rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptFiles:
    """Where the files are that an attempt has kept of an epoch."""

    attempt_id: PathPart
    digests: Mapping[AttemptFile, str]
    """File name -> sha256."""


class Attempt:
    """One try at a trial: files under its own id, then the commit."""

    def __init__(self, blobs: Blobs, trial: Trial) -> None:
        """Use ``RunStore.attempt``."""
        self.trial = trial
        self.attempt_id = uuid.uuid4().hex[:12]
        self._blobs = blobs
        self._digests: dict[str, str] = {}

    def put(self, name: str, data: Content) -> str:
        """Write one of the attempt's files; return its sha256."""
        digest = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for chunk in (data,) if isinstance(data, bytes) else data:
                digest.update(chunk)
                yield chunk

        created = self._blobs.put_if_absent(self._key(name), hashed())
        assert created, f"{self.attempt_id}: {name} is written once"
        self._digests[name] = digest.hexdigest()
        return self._digests[name]

    def put_values(
        self, part: Part, values: Iterable[StoredValues], *, num_rows: int, epoch: int | None = None
    ) -> StoredValues:
        """Write predictions as they come, and return a memory map of the file.

        Args:
            part: of the fold's own rows, or of the test rows.
            values: blocks (n, C) of one dtype, one below the other: uint8 stays as it is, all else becomes float32.
            num_rows: that they have together.
            epoch: whose end they are of, where they are kept beside those of the trial's end.
        """
        name = kept_file(f"{part}.npy", epoch)
        self.put(name, npy_chunks(values, num_rows=num_rows))
        array: StoredValues = np.load(self._blobs.path(self._key(name)), mmap_mode="r", allow_pickle=False)
        return array

    def kept(self, epoch: int) -> KeptFiles:
        """Return what was kept of an epoch, for whoever goes on where this attempt is cut short."""
        folder = kept_file("", epoch)
        digests = {name: digest for name, digest in self._digests.items() if name.startswith(folder)}
        return KeptFiles(attempt_id=self.attempt_id, digests=digests)

    def adopt(self, kept: Iterable[KeptFiles]) -> None:
        """Take over files of earlier attempts at the trial, whose checkpoint this one goes on from: all or none.

        Raises:
            CorruptBlobError: a file is missing, or is not the one that the checkpoint means.
        """
        found = {
            name: (self._blobs.path(attempt_key(self.trial, files.attempt_id, name)), expected)
            for files in kept
            for name, expected in files.digests.items()
        }
        for path, expected in found.values():
            if (got := file_digest(path)) != expected:
                raise CorruptBlobError(f"{path}: expected sha256 {expected}, got {got or 'no file'}.")
        for name, (path, _) in found.items():
            self.put(name, file_chunks(path))

    def put_manifest(self, valid_ids: StrArray, test_ids: StrArray, lineage: Lineage) -> None:
        """Write what the rows of both parts are, and what they depend on."""
        manifest = {
            "valid_ids": valid_ids.tolist(),
            "test_ids": test_ids.tolist(),
            "trial": dataclasses.asdict(self.trial),
            "lineage": lineage_to_json(lineage),
        }
        self.put(MANIFEST_FILE, encode(manifest))

    def commit(self, result: TrialResult) -> TrialResult:
        """Create result.json, naming the attempt's files; return the result that stands.

        Where another attempt was first, that one's result is returned and this one's files are removed.
        """
        mine = dataclasses.replace(result, attempt_id=self.attempt_id, blobs=dict(self._digests))
        key = result_key(self.trial)
        if self._blobs.put_if_absent(key, encode(result_to_json(mine))):
            self._blobs.delete(checkpoint_folder(self.trial))
            return mine
        self._blobs.delete(_attempt_folder(self.trial, self.attempt_id))
        stands = decode(self._blobs.get(key, max_bytes=MAX_JSON_BYTES) or b"", where=key)
        return result_from_json(stands, where=key, way_out="Run the same command again: the trial is repeated.")

    def _key(self, name: str) -> str:
        return attempt_key(self.trial, self.attempt_id, name)


def kept_file(name: str, epoch: int | None) -> str:
    """Return the name of a file that was kept of an epoch; ``name`` itself where ``epoch`` is None."""
    return name if epoch is None else f"epoch{epoch}/{name}"


def kept_epochs(result: TrialResult) -> tuple[int, ...]:
    """Return the epochs of which predictions were kept beside those of the trial's end, ascending."""
    return _epochs_with(TEST_FILE, result)


def epochs_with_weights(result: TrialResult) -> tuple[int, ...]:
    """Return the epochs of which weights were kept beside those of the trial's end, ascending; some may be gone."""
    return _epochs_with(WEIGHTS_FILE, result)


def _epochs_with(file: str, result: TrialResult) -> tuple[int, ...]:
    folders = [folder for folder, _, name in (name.rpartition("/") for name in result.blobs) if folder and name == file]
    return tuple(sorted(int(folder.removeprefix("epoch")) for folder in folders))


def trial_folder(trial: Trial) -> str:
    """Return the folder of all that belongs to ``trial``."""
    return f"trials/{trial}"


def checkpoint_folder(trial: Trial) -> str:
    """Return the folder of the last checkpoint of a trial that has not ended."""
    return f"{trial_folder(trial)}/checkpoint"


def result_key(trial: Trial) -> str:
    """Return the key whose creation is the commit of ``trial``."""
    return f"{trial_folder(trial)}/result.json"


def attempt_key(trial: Trial, attempt_id: str, name: str) -> str:
    """Return the key of a file of an attempt."""
    return f"{_attempt_folder(trial, attempt_id)}/{name}"


def _attempt_folder(trial: Trial, attempt_id: str) -> str:
    return f"{trial_folder(trial)}/attempts/{attempt_id}"
