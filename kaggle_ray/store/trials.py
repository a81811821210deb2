"""The trials of a run: how each ended, what it predicts, its weights, and its checkpoint while it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

import numpy as np

from kaggle_ray.errors import CorruptBlobError, WeightsGoneError
from kaggle_ray.store import checkpoints
from kaggle_ray.store.attempt import (
    GRAPH_ENDING,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Attempt,
    attempt_key,
    checkpoint_folder,
    epochs_with_weights,
    kept_file,
    result_key,
    trial_folder,
)
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.schema import Manifest, decode, lineage_from_json, result_from_json
from kaggle_ray.store.summary import save_summary, summarised
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, Lineage, Predictions, StoredValues, StrArray, Trial, TrialResult
from kaggle_ray.untrusted import MAX_JSON_BYTES, MAX_LIST_BYTES, MAX_WEIGHTS_BYTES, file_digest, named_if_unreadable

RUN_FILE = "run.json"
IMPORTED_FILE = "imported.json"


def is_imported(blobs: Blobs) -> bool:
    """Return whether a place has predictions that were imported, and no run."""
    return blobs.written_at(IMPORTED_FILE) is not None


def why_no_run(blobs: Blobs) -> str:
    """Return what a place is that has no run.json, in a sentence or two: predictions that were imported are no run."""
    if not is_imported(blobs):
        return f"{blobs.location}: is no run: it has no {RUN_FILE}."
    return (
        f"{blobs.location}: is no run, but predictions that kaggle-ray import took in: they have neither trials nor a "
        f"score. kaggle-ray ensemble RUN {blobs.location} --admit-unproven blends them with a run."
    )


class TrialStore:
    """The trials of one run."""

    def __init__(self, blobs: Blobs) -> None:
        """Use ``open_run``. Nothing is written until something is put."""
        self.blobs = blobs
        self._results: dict[Trial, TrialResult] = {}  # read once: a commit is final

    @property
    def location(self) -> str:
        """The run's folder or URI, for people, and for ``open_run``."""
        return self.blobs.location

    def attempt(self, trial: Trial) -> Attempt:
        """Return a new attempt at ``trial``, whose files no other attempt can touch."""
        return Attempt(self.blobs, trial)

    def result(self, trial: Trial) -> TrialResult | None:
        """Return how ``trial`` ended, None where nothing is committed.

        Raises:
            CorruptBlobError: what is committed there is another trial's.
        """
        if trial in self._results:
            return self._results[trial]
        return self._committed(trial, self.blobs.get(result_key(trial), max_bytes=MAX_JSON_BYTES))

    def has_results(self) -> bool:
        """Return whether any trial is over."""
        return any(key.endswith("/result.json") for key in self.blobs.list("trials/"))

    def results(self, trials: Iterable[Trial]) -> dict[Trial, TrialResult]:
        """Return how those of ``trials`` ended that are over; what the last summary tells is not read again.

        Nor is what this machine has read before: a commit is final, but for a removal, which changes its stamp.

        Raises:
            CorruptBlobError: what is committed somewhere is another trial's.
        """
        stamps = self.blobs.stamps("trials/")
        self._results = summarised(self.blobs, stamps) | self._results
        there = {trial: stamps[key] for trial in trials if (key := result_key(trial)) in stamps}
        found = {trial: self._final_result(trial, stamp) for trial, stamp in there.items()}
        return {trial: result for trial, result in found.items() if result is not None}

    def save_summary(self, results: Iterable[TrialResult]) -> None:
        """Save what ``results`` of later sessions need not read one by one."""
        save_summary(self.blobs, results)

    def check(self, result: TrialResult) -> None:
        """Read all files of a committed trial, and hold them to the digests that it was committed with.

        Weights may be gone: a run that is complete keeps those that its ensembles need.

        Raises:
            CorruptBlobError: a file is missing, is not the one that was committed, or is another trial's.
        """
        for name in result.blobs:
            digest = self.blobs.digest(self._key(result, name))
            if digest is not None or not name.endswith(WEIGHTS_FILE):
                self._check(result, name, digest)
        self._manifest(result)

    def remove(self, trial: Trial) -> None:
        """Remove all of a trial, so that it is run again."""
        self._results.pop(trial, None)
        self.blobs.delete_file(result_key(trial))  # first: a removal that is cut short leaves no trial that lacks files
        self.blobs.delete(trial_folder(trial))

    def checkpoint(self, trial: Trial) -> bytes | None:
        """Return the last checkpoint of a trial that has not ended, None where there is none."""
        return checkpoints.read_last(self.blobs, trial)

    def save_checkpoint(self, trial: Trial, data: bytes) -> None:
        """Make ``data`` the trial's last checkpoint; the one before it stays, too."""
        checkpoints.save(self.blobs, trial, data)

    def has_earlier_checkpoint(self, trial: Trial) -> bool:
        """Return whether there is a checkpoint of the trial before its last one."""
        return checkpoints.has_one_before(self.blobs, trial)

    def remove_checkpoint(self, trial: Trial) -> None:
        """Remove the trial's last checkpoint, so that it goes on from the one before, or begins anew."""
        checkpoints.remove_last(self.blobs, trial)

    def predictions(self, result: TrialResult, *, epoch: int | None = None) -> tuple[Predictions, Predictions]:
        """Return a committed trial's predictions of its fold's rows, none for FULL_DATA, and of the test rows.

        Args:
            result: of the trial.
            epoch: whose predictions were kept and are wanted; None: those of the trial's end.

        Raises:
            CorruptBlobError: a file is missing or is not the one that was committed.
        """
        manifest = self._manifest(result)
        lineage = lineage_from_json(manifest.lineage, where=f"{result.trial}/{MANIFEST_FILE}: lineage")
        valid, test = (
            Predictions(
                sample_ids=np.array(sample_ids, dtype=np.str_),
                values=self._mapped(result, kept_file(f"{part}.npy", epoch), num_rows=len(sample_ids)),
                lineage=lineage,
            )
            for part, sample_ids in (("valid", manifest.valid_ids), ("test", manifest.test_ids))
        )
        return valid, test

    def scored_ids(self, result: TrialResult) -> StrArray:
        """Return the ids of the rows that a committed trial predicts out of fold; none for FULL_DATA.

        Raises:
            CorruptBlobError: the manifest is missing or is not the one that was committed.
        """
        return np.array(self._manifest(result).valid_ids, dtype=np.str_)

    def lineage(self, result: TrialResult) -> Lineage:
        """Return what a committed trial's predictions depend on.

        Raises:
            CorruptBlobError: the manifest is missing or is not the one that was committed.
        """
        return lineage_from_json(self._manifest(result).lineage, where=f"{result.trial}/{MANIFEST_FILE}: lineage")

    def weights(self, result: TrialResult, *, epoch: int | None = None) -> bytes:
        """Return a committed trial's weights file; ``epoch`` as for ``predictions``.

        Raises:
            WeightsGoneError: the file is missing: the run is complete, and needs it no more.
            CorruptBlobError: it is not the one that was committed.
        """
        name = kept_file(WEIGHTS_FILE, epoch)
        if name in result.blobs and self.blobs.written_at(self._key(result, name)) is None:
            raise WeightsGoneError(
                f"{self._at(self._key(result, name))}: the weights are gone: a run that is complete keeps those that "
                f"its ensembles need. Remove {self._at(trial_folder(result.trial))} and run the command of "
                f"{self._at(RUN_FILE)} again: the trial is repeated."
            )
        return self._verified(result, name)

    def has_weights(self, result: TrialResult, *, epoch: int | None = None) -> bool:
        """Return whether a committed trial's weights are there; ``epoch`` as for ``predictions``."""
        name = kept_file(WEIGHTS_FILE, epoch)
        return name in result.blobs and self.blobs.written_at(self._key(result, name)) is not None

    def has_graphs(self, result: TrialResult, *, epoch: int | None = None) -> bool:
        """Return whether a package keeps graphs of a committed trial's model; ``epoch`` as for ``predictions``."""
        return any(
            name == kept_file(PurePosixPath(name).name, epoch) for name in result.blobs if name.endswith(GRAPH_ENDING)
        )

    def graph(self, result: TrialResult, name: str, *, epoch: int | None = None) -> bytes:
        """Return a graph of a committed trial's model by the name of its file; ``epoch`` as for ``predictions``.

        Raises:
            CorruptBlobError: it is missing, or is not the one that was packed.
        """
        return self._verified(result, kept_file(name, epoch))

    def weights_bytes(self) -> int:
        """Return how many bytes of the run's place weights take, those of attempts that go on included."""
        sizes = self.blobs.sizes("trials/")
        return sum(num_bytes for key, num_bytes in sizes.items() if key.endswith(f"/{WEIGHTS_FILE}"))

    def remove_losing_attempts(self, result: TrialResult) -> None:
        """Remove the files of the trial's attempts that did not become ``result``, and its checkpoint."""
        self.blobs.delete(checkpoint_folder(result.trial))
        folder = f"{trial_folder(result.trial)}/attempts/"
        attempts = {key.removeprefix(folder).partition("/")[0] for key in self.blobs.list(folder)}
        for attempt_id in attempts - {result.attempt_id}:
            self.blobs.delete(folder + attempt_id)

    def remove_weights(self, result: TrialResult, keep: Collection[int | None]) -> None:
        """Remove a committed trial's weights, those of the epochs in ``keep`` aside; predictions all stay.

        Args:
            result: of the trial.
            keep: the epochs that were kept and are wanted, None for the trial's end.
        """
        for epoch in {None, *epochs_with_weights(result)} - set(keep):
            self.blobs.delete_file(self._key(result, kept_file(WEIGHTS_FILE, epoch)))

    def _final_result(self, trial: Trial, stamp: str) -> TrialResult | None:
        if trial in self._results:
            return self._results[trial]
        return self._committed(trial, self.blobs.get_final(result_key(trial), stamp, max_bytes=MAX_JSON_BYTES))

    def _committed(self, trial: Trial, data: bytes | None) -> TrialResult | None:
        """Return the result that ``data`` is, and keep it. Raises CorruptBlobError where it is another trial's."""
        if data is None:
            return None
        where = self._at(result_key(trial))
        result = result_from_json(decode(data, where=where), where=where, way_out=self._way_out)
        if result.trial != trial:
            raise CorruptBlobError(f"{where}: is the result of trial {result.trial}. {self._way_out}")
        self._results[trial] = result
        return result

    def _at(self, key: str) -> str:
        """Return where a file of the run is, for people."""
        return f"{self.location}/{key}"

    def _json(self, key: str, *, max_bytes: int = MAX_JSON_BYTES) -> dict[str, JsonValue] | None:
        """Return what a JSON file of the run says, None where it is absent."""
        data = self.blobs.get(key, max_bytes=max_bytes)
        return None if data is None else decode(data, where=self._at(key))

    def _manifest(self, result: TrialResult) -> Manifest:
        where = f"{result.trial}/{MANIFEST_FILE}"
        manifest = from_json(Manifest, decode(self._verified(result, MANIFEST_FILE), where=where), where=where)
        if manifest.trial not in (None, result.trial):
            file = self._at(self._key(result, MANIFEST_FILE))
            raise CorruptBlobError(f"{file}: expected trial {result.trial}, got {manifest.trial}. {self._way_out}")
        return manifest

    def _verified(self, result: TrialResult, name: str) -> bytes:
        max_bytes = MAX_LIST_BYTES if name == MANIFEST_FILE else MAX_WEIGHTS_BYTES
        data = self.blobs.get(self._key(result, name), max_bytes=max_bytes)
        self._check(result, name, None if data is None else hashlib.sha256(data).hexdigest())
        assert data is not None, "what is absent has no digest"
        return data

    def _check(self, result: TrialResult, name: str, digest: str | None) -> None:
        """Raise CorruptBlobError where a file is not the one that was committed."""
        expected = result.blobs.get(name)
        if digest is None or digest != expected:
            file, got = self._at(self._key(result, name)), digest or "no file"
            raise CorruptBlobError(f"{file}: expected sha256 {expected}, got {got}. {self._way_out}")

    @property
    def _way_out(self) -> str:
        return f"Run the command of {self._at(RUN_FILE)} again: the trial is repeated."

    def _key(self, result: TrialResult, name: str) -> str:
        return attempt_key(result.trial, result.attempt_id, name)

    def _mapped(self, result: TrialResult, name: str, *, num_rows: int) -> StoredValues:
        if not num_rows:  # a trial of all rows has none to score, and no file of them
            return np.zeros((0, 0), dtype=np.float32)
        path = self.blobs.path(self._key(result, name))
        where = self._at(self._key(result, name))
        try:
            with named_if_unreadable(path):
                self._check(result, name, file_digest(path))
                array: StoredValues = np.lib.format.open_memmap(path, mode="r")  # which maps no more than there is
        except (ValueError, OverflowError) as error:
            raise CorruptBlobError(f"{where}: is not an array of numbers: {error}") from error
        if array.dtype not in (np.float32, np.uint8) or array.ndim != 2 or len(array) != num_rows:
            raise CorruptBlobError(
                f"{where}: expected ({num_rows}, C) float32 or uint8, got {array.shape} {array.dtype}."
            )
        return array
