"""The layout of a run folder.

A run is the only truth there is: ``driver.py`` keeps nothing that is not here, so a rerun is a resume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from kaggle_ray.errors import CorruptBlobError, RunMismatchError, WeightsGoneError
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.store.arrays import npy_chunks
from kaggle_ray.store.attempt import (
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Attempt,
    attempt_key,
    checkpoint_folder,
    kept_epochs,
    kept_file,
    result_key,
    trial_folder,
)
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.changes import Change, changes
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.store.predictions import quantised
from kaggle_ray.store.schema import (
    decode,
    encode,
    experiment_from_json,
    experiment_to_json,
    lineage_from_json,
    result_from_json,
)
from kaggle_ray.types import Experiment, JsonValue, Lineage, Predictions, StoredValues, Trial, TrialResult

RUN_FILE = "run.json"
CONTENT_FILE = "content.json"
FOLDS_FILE = "folds.csv"
UNREADABLE_FILE = "unreadable.json"
NEAR_DUPLICATES_FILE = "near_duplicates.json"
EVENTS_FILE = "events.jsonl"
REPORT_FILE = "report.html"
FAST_DEV = "fast-dev"
"""How the ids begin of runs that only show whether everything works."""

_CHUNK_BYTES = 1 << 20


class RunStore:
    """One run's folder."""

    def __init__(self, run_dir: Path, blobs: Blobs | None = None) -> None:
        """Open the run at ``run_dir``; nothing is written until something is put."""
        self.run_dir = run_dir
        self.blobs: Blobs = blobs or LocalBlobs(run_dir)

    # What the run is ------------------------------------------------------------------------------------------------

    def record(self) -> dict[str, JsonValue] | None:
        """Return what run.json says, None before the run was begun."""
        data = self.blobs.get(RUN_FILE)
        return None if data is None else decode(data, where=str(self.run_dir / RUN_FILE))

    def begin(
        self, identity: Mapping[str, JsonValue], facts: Mapping[str, JsonValue], files: Mapping[str, str] | None = None
    ) -> dict[str, JsonValue]:
        """Write run.json where it is absent, and return what it says.

        Args:
            identity: what has to be the same on every resume: competition, experiments, folds, settings, content.
            facts: where the run came from; kept as the first start wrote them.
            files: image or mask -> digest of its content, to name later which have changed.

        Raises:
            RunMismatchError: the folder is another run's; each difference is named.
        """
        if self.blobs.get(RUN_FILE) is None:
            self.blobs.put(CONTENT_FILE, encode({"files": dict(files or {})}))
            self.blobs.put_if_absent(RUN_FILE, encode({**identity, **facts}))
        if found := self.changes_to(identity, files):
            raise RunMismatchError(
                f"{self.run_dir}: was started with other {', '.join(dict.fromkeys(each.what for each in found))}. "
                f"{'; '.join(map(str, found))}. Restore what has changed and run the command that started it, or start "
                f"a new run: name another --run-id, or none."
            )
        self.blobs.remove_temporary()
        return self.record() or {}

    def changes_to(
        self, identity: Mapping[str, JsonValue], files: Mapping[str, str] | None = None
    ) -> tuple[Change, ...]:
        """Return what differs between the run and another identity, which is described as for ``begin``."""
        as_read = decode(encode(identity), where=RUN_FILE)  # a tuple is a list there
        record, data = self.record() or {}, self.blobs.get(CONTENT_FILE)
        files_then = {} if data is None else decode(data, where=str(self.run_dir / CONTENT_FILE))["files"]
        return changes(record, as_read, files_then=files_then, files_now=files or {})

    def folds_csv(self) -> str | None:
        """Return the saved fold plan, None before it was made."""
        data = self.blobs.get(FOLDS_FILE)
        return None if data is None else data.decode()

    def save_folds_csv(self, text: str) -> None:
        """Save the fold plan; the first one stays."""
        self.blobs.put_if_absent(FOLDS_FILE, text.encode())

    def save_unreadable(self, reasons: Mapping[str, str]) -> None:
        """Save which of the competition's files cannot be read, and why; the first list stays."""
        self.blobs.put_if_absent(UNREADABLE_FILE, encode({"files": dict(reasons)}))

    def unreadable(self) -> dict[str, str]:
        """Return file -> reason of what the run leaves out; empty where nothing was looked for."""
        data = self.blobs.get(UNREADABLE_FILE)
        if data is None:
            return {}
        reasons: dict[str, str] = decode(data, where=str(self.run_dir / UNREADABLE_FILE))["files"]
        return reasons

    def save_near_duplicates(self, description: Mapping[str, JsonValue]) -> None:
        """Save the near-duplicates that the folds were made with; the first list stays."""
        self.blobs.put_if_absent(NEAR_DUPLICATES_FILE, encode(description))

    def near_duplicates(self) -> dict[str, JsonValue] | None:
        """Return the near-duplicates that the folds were made with, None where there are none."""
        data = self.blobs.get(NEAR_DUPLICATES_FILE)
        return None if data is None else decode(data, where=str(self.run_dir / NEAR_DUPLICATES_FILE))

    def save_experiment(self, experiment: Experiment) -> None:
        """Save what an experiment id stands for."""
        self.blobs.put_if_absent(
            f"trials/{experiment.experiment_id}/experiment.json", encode(experiment_to_json(experiment))
        )

    def experiments(self) -> tuple[Experiment, ...]:
        """Return the run's experiments in the order of the command; empty before the run was begun."""
        record = self.record()
        return tuple(experiment_from_json(value) for value in record["experiments"]) if record else ()

    # Trials ---------------------------------------------------------------------------------------------------------

    def attempt(self, trial: Trial) -> Attempt:
        """Return a new attempt at ``trial``, whose files no other attempt can touch."""
        return Attempt(self.blobs, trial)

    def result(self, trial: Trial) -> TrialResult | None:
        """Return how ``trial`` ended, None where nothing is committed."""
        key = result_key(trial)
        data = self.blobs.get(key)
        return None if data is None else result_from_json(decode(data, where=str(self.run_dir / key)))

    def checkpoint(self, trial: Trial) -> bytes | None:
        """Return the last checkpoint of a trial that has not ended, None where there is none."""
        return self.blobs.get(_checkpoint_key(trial))

    def save_checkpoint(self, trial: Trial, data: bytes) -> None:
        """Replace the trial's checkpoint."""
        self.blobs.put(_checkpoint_key(trial), data)

    def predictions(self, result: TrialResult, *, epoch: int | None = None) -> tuple[Predictions, Predictions]:
        """Return a committed trial's predictions of its fold's rows, none for FULL_DATA, and of the test rows.

        Args:
            result: of the trial.
            epoch: whose predictions were kept and are wanted; None: those of the trial's end.

        Raises:
            CorruptBlobError: a file is missing or is not the one that was committed.
        """
        manifest = self._manifest(result)
        lineage = lineage_from_json(manifest["lineage"])
        valid, test = (
            Predictions(
                sample_ids=np.array(manifest[f"{part}_ids"], dtype=np.str_),
                values=self._mapped(result, kept_file(f"{part}.npy", epoch), num_rows=len(manifest[f"{part}_ids"])),
                lineage=lineage,
            )
            for part in ("valid", "test")
        )
        return valid, test

    def lineage(self, result: TrialResult) -> Lineage:
        """Return what a committed trial's predictions depend on.

        Raises:
            CorruptBlobError: the manifest is missing or is not the one that was committed.
        """
        return lineage_from_json(self._manifest(result)["lineage"])

    def weights(self, result: TrialResult, *, epoch: int | None = None) -> bytes:
        """Return a committed trial's weights file; ``epoch`` as for ``predictions``.

        Raises:
            WeightsGoneError: the file is missing: ``sweep_weights`` removed it.
            CorruptBlobError: it is not the one that was committed.
        """
        name = kept_file(WEIGHTS_FILE, epoch)
        path = self.blobs.path(attempt_key(result.trial, result.attempt_id, name))
        if name in result.blobs and not path.exists():
            raise WeightsGoneError(
                f"{path}: the weights are gone: a run that is complete keeps those that its ensembles need. "
                f"Remove {self.run_dir / trial_folder(result.trial)} and run the command of {self.run_dir / RUN_FILE} "
                f"again: the trial is repeated."
            )
        return self._verified(result, name)

    def _manifest(self, result: TrialResult) -> dict[str, JsonValue]:
        return decode(self._verified(result, MANIFEST_FILE), where=f"{result.trial}/{MANIFEST_FILE}")

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
        for epoch in {None, *kept_epochs(result)} - set(keep):
            self.blobs.delete_file(attempt_key(result.trial, result.attempt_id, kept_file(WEIGHTS_FILE, epoch)))

    def _verified(self, result: TrialResult, name: str) -> bytes:
        data = self.blobs.get(attempt_key(result.trial, result.attempt_id, name))
        self._check(result, name, None if data is None else hashlib.sha256(data).hexdigest())
        assert data is not None, "what is absent has no digest"
        return data

    def _check(self, result: TrialResult, name: str, digest: str | None) -> None:
        """Raise CorruptBlobError where a file is not the one that was committed."""
        expected = result.blobs.get(name)
        if digest is None or digest != expected:
            raise CorruptBlobError(
                f"{self.run_dir / attempt_key(result.trial, result.attempt_id, name)}: expected sha256 {expected}, "
                f"got {digest or 'no file'}. Remove {self.run_dir / trial_folder(result.trial)} and run the same "
                f"command again: the trial is repeated."
            )

    def _mapped(self, result: TrialResult, name: str, *, num_rows: int) -> StoredValues:
        if not num_rows:  # a trial of all rows has none to score, and no file of them
            return np.zeros((0, 0), dtype=np.float32)
        path = self.blobs.path(attempt_key(result.trial, result.attempt_id, name))
        self._check(result, name, _digest_of(path))
        try:
            array: StoredValues = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise CorruptBlobError(f"{path}: is not an array of numbers: {error}") from error
        if array.dtype not in (np.float32, np.uint8) or array.ndim != 2 or len(array) != num_rows:
            raise CorruptBlobError(
                f"{path}: expected ({num_rows}, C) float32 or uint8, got {array.shape} {array.dtype}."
            )
        return array

    # What follows from the trials -----------------------------------------------------------------------------------

    def save_ensemble(
        self, name: str, description: Mapping[str, JsonValue], *, oof: Rows, test: Rows, are_masks: bool = False
    ) -> None:
        """Save ``ensemble.json``, which comes last, and two arrays: of masks bytes, 255 being 1, else float32."""
        for part, rows in (("oof", oof), ("test", test)):
            values = (quantised(rows[block]) if are_masks else rows[block] for block in blocks(rows))
            self.blobs.put(f"ensembles/{name}/{part}.npy", npy_chunks(values, num_rows=len(rows)))
        self.blobs.put(f"ensembles/{name}/ensemble.json", encode(description))

    def ensemble(self, name: str) -> dict[str, JsonValue] | None:
        """Return the description of a saved ensemble, None where there is none."""
        key = f"ensembles/{name}/ensemble.json"
        data = self.blobs.get(key)
        return None if data is None else decode(data, where=str(self.run_dir / key))

    def save_submission(self, name: str, draft: Path, description: Mapping[str, JsonValue]) -> Path:
        """Save a copy of a submission's file, and what it was made of; return the copy's path."""
        with draft.open("rb") as file:
            self.blobs.put(f"submissions/{name}.csv", iter(partial(file.read, _CHUNK_BYTES), b""))
        self.blobs.put(f"submissions/{name}.json", encode(description))
        return self.run_dir / f"submissions/{name}.csv"

    def submission(self, name: str) -> dict[str, JsonValue] | None:
        """Return what a saved submission was made of, None where there is none."""
        key = f"submissions/{name}.json"
        data = self.blobs.get(key)
        return None if data is None else decode(data, where=str(self.run_dir / key))

    def save_report(self, html: str) -> Path:
        """Save the report; return its path."""
        self.blobs.put(REPORT_FILE, html.encode())
        return self.run_dir / REPORT_FILE


def list_runs(root: Path) -> list[RunStore]:
    """Return the runs under ``runs/<competition>/<run_id>``, sorted by path; fast-dev runs are none."""
    found = [file.parent for file in sorted(root.glob(f"*/*/{RUN_FILE}"))]
    return [RunStore(run_dir) for run_dir in found if not run_dir.name.startswith(FAST_DEV)]


def _checkpoint_key(trial: Trial) -> str:
    return f"{checkpoint_folder(trial)}/state.safetensors"


def _digest_of(path: Path) -> str | None:
    """Return the sha256 of a file, which is read in chunks; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
