"""The layout of a run.

A run is the only truth there is: ``driver.py`` keeps nothing that is not here, so a rerun is a resume.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from kaggle_ray.errors import CorruptBlobError, RunMismatchError, StoreError
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.store.arrays import npy_chunks
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.changes import Change, changes
from kaggle_ray.store.diary import Diary
from kaggle_ray.store.experiments import ExperimentStore
from kaggle_ray.store.lease import LEASE_FILES, Lease
from kaggle_ray.store.predictions import quantised
from kaggle_ray.store.record import RunIdentity, RunRecord
from kaggle_ray.store.schema import decode, encode, sealed, unsealed
from kaggle_ray.store.trials import RUN_FILE as RUN_FILE
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, Location
from kaggle_ray.untrusted import MAX_JSON_BYTES, MAX_LIST_BYTES

CONTENT_FILE = "content.json"
FOLDS_FILE = "folds.csv"
UNREADABLE_FILE = "unreadable.json"
NEAR_DUPLICATES_FILE = "near_duplicates.json"
READING_FILE = "reading.json"
EVENTS_FILE = "events.jsonl"
EVENTS_FOLDER = "events"
"""Events of a run that lies where nothing can be appended to a file."""
LEARNT_FILE = "ensembles/learnt.json"
REPORT_FILE = "report.html"
FAST_DEV = "fast-dev"
"""How the ids begin of runs that only show whether everything works."""

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _OfFiles:
    """What unreadable.json and content.json say of each file."""

    files: dict[str, str]


class RunStore(ExperimentStore):
    """One run: what it is, its trials, and what follows from them. Open it by ``open_run``."""

    def __init__(self, blobs: Blobs, lease: Lease, diary: Diary) -> None:
        """Use ``open_run``. Nothing is written until something is put."""
        super().__init__(blobs)
        self.lease = lease
        self.diary = diary

    @property
    def competition_name(self) -> str:
        """The competition that the run is of, by its place."""
        return self.location.split("/")[-2]

    @property
    def run_id(self) -> str:
        """The run's name, by its place."""
        return self.location.split("/")[-1]

    def start_anew(self) -> None:
        """Remove what the run has written, for one that is not to be resumed.

        Raises:
            LeaseError: another process is at work on it.
            StoreError: its place cannot be written.
        """
        with self.lease.held():
            self.blobs.clear(keep=LEASE_FILES)

    # What the run is ------------------------------------------------------------------------------------------------

    def begun_at(self) -> float:
        """Return when run.json was written, in seconds since the Unix epoch; 0 before."""
        return self.blobs.written_at(RUN_FILE) or 0.0

    def begin(
        self, identity: RunIdentity, facts: Mapping[str, JsonValue], files: Mapping[str, str] | None = None
    ) -> RunRecord:
        """Write run.json where it is absent, and return what it says.

        Args:
            identity: what has to be the same on every resume: competition, experiments, folds, settings, content.
            facts: where the run came from; kept as the first start wrote them.
            files: image or mask -> digest of its content, to name later which have changed.

        Raises:
            RunMismatchError: the folder is another run's; each difference is named.
        """
        if self.blobs.get(RUN_FILE, max_bytes=MAX_JSON_BYTES) is None:
            self.blobs.put(CONTENT_FILE, encode({"files": dict(files or {})}))
            self.blobs.put_if_absent(RUN_FILE, encode({**asdict(identity), **facts}))
        if found := self.changes_to(identity, files):
            raise RunMismatchError(
                f"{self.location}: was started with other {', '.join(dict.fromkeys(each.what for each in found))}. "
                f"{'; '.join(map(str, found))}. Restore what has changed and run the command that started it, or start "
                f"a new run: name another --run-id, or none."
            )
        self.blobs.remove_temporary()
        return self.known_record()

    def changes_to(self, identity: RunIdentity, files: Mapping[str, str] | None = None) -> tuple[Change, ...]:
        """Return what differs between the run and another identity, which is described as for ``begin``."""
        as_read = decode(encode(asdict(identity)), where=RUN_FILE)  # a tuple is a list there
        now = from_json(RunIdentity, as_read, where=RUN_FILE)
        return changes(self.known_record().identity, now, files_then=self._files(CONTENT_FILE), files_now=files or {})

    def folds_csv(self) -> str | None:
        """Return the saved fold plan, None before it was made.

        Raises:
            CorruptBlobError: it is not the one that the run was begun with.
        """
        data, record = self.blobs.get(FOLDS_FILE, max_bytes=MAX_LIST_BYTES), self.record()
        expected = record.folds_csv_sha256 if record else None
        if data is not None and expected is not None and (got := hashlib.sha256(data).hexdigest()) != expected:
            raise CorruptBlobError(
                f"{self._at(FOLDS_FILE)}: expected the sha256 {expected} that run.json names, got {got}: the file was "
                f"changed, and models would be scored on rows that they were trained on. Restore the file, or start a "
                f"new run with another --run-id."
            )
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError as error:
            raise CorruptBlobError(f"{self._at(FOLDS_FILE)}: is no text: {error}.") from error

    def save_folds_csv(self, text: str) -> None:
        """Save the fold plan; the first one stays."""
        self.blobs.put_if_absent(FOLDS_FILE, text.encode())

    def save_unreadable(self, reasons: Mapping[str, str]) -> None:
        """Save which of the competition's files cannot be read, and why; the first list stays."""
        self.blobs.put_if_absent(UNREADABLE_FILE, encode({"files": dict(reasons)}))

    def unreadable(self) -> dict[str, str]:
        """Return file -> reason of what the run leaves out; empty where nothing was looked for."""
        return self._files(UNREADABLE_FILE)

    def has_looked_for_unreadable(self) -> bool:
        """Return whether the run was begun with a list of what it leaves out, be it empty."""
        return self._json(UNREADABLE_FILE, max_bytes=MAX_LIST_BYTES) is not None

    def save_near_duplicates(self, description: Mapping[str, JsonValue]) -> None:
        """Save the near-duplicates that the folds were made with; the first list stays."""
        self.blobs.put_if_absent(NEAR_DUPLICATES_FILE, encode(description))

    def near_duplicates(self) -> dict[str, JsonValue] | None:
        """Return the near-duplicates that the folds were made with, None where there are none."""
        return self._json(NEAR_DUPLICATES_FILE, max_bytes=MAX_LIST_BYTES)

    def save_reading(self, description: Mapping[str, JsonValue]) -> None:
        """Save how the values of images and masks are read; the first stays."""
        self.blobs.put_if_absent(READING_FILE, encode(description))

    def reading(self) -> dict[str, JsonValue] | None:
        """Return how the values of images and masks are read, None where an earlier version did not say."""
        return self._json(READING_FILE)

    # What follows from the trials -----------------------------------------------------------------------------------

    def save_ensemble(
        self, name: str, description: Mapping[str, JsonValue], *, oof: Rows, test: Rows, are_masks: bool = False
    ) -> None:
        """Save ``ensemble.json``, which comes last, and two arrays: of masks bytes, 255 being 1, else float32.

        The text has a digest of what else it says: weights and decision rule predict new rows.
        """
        for part, rows in (("oof", oof), ("test", test)):
            values = (quantised(rows[block]) if are_masks else rows[block] for block in blocks(rows))
            self.blobs.put(f"ensembles/{name}/{part}.npy", npy_chunks(values, num_rows=len(rows)))
        self.blobs.put(f"ensembles/{name}/ensemble.json", encode(sealed(description)))

    def ensemble(self, name: str) -> dict[str, JsonValue] | None:
        """Return the description of a saved ensemble, None where there is none.

        Raises:
            CorruptBlobError: it does not say what was saved.
        """
        key = f"ensembles/{name}/ensemble.json"
        value = self._json(key)
        way_out = f"Run the command of {self._at(RUN_FILE)} again: the ensemble is made anew."
        return None if value is None else unsealed(value, where=self._at(key), way_out=way_out)

    def ensemble_names(self) -> list[str]:
        """Return the names of all saved ensembles, sorted."""
        return [key.split("/")[1] for key in self.blobs.list("ensembles/") if key.endswith("/ensemble.json")]

    def remove_ensemble(self, name: str) -> None:
        """Remove a saved ensemble: it is derived from predictions, which stay."""
        self.blobs.delete(f"ensembles/{name}")

    def save_learnt(self, learnt: Mapping[str, JsonValue]) -> None:
        """Save what was learnt of the run's predictions, by what it was learnt from, to be learnt once."""
        self.blobs.put(LEARNT_FILE, encode({"learnt": dict(learnt)}))

    def learnt(self) -> dict[str, JsonValue]:
        """Return what ``save_learnt`` kept; nothing where that cannot be read, since it is derived."""
        try:
            value = self._json(LEARNT_FILE, max_bytes=MAX_LIST_BYTES) or {}
            return dict(from_json(dict[str, JsonValue], value.get("learnt", {}), where=self._at(LEARNT_FILE)))
        except StoreError as error:
            logger.warning("%s: is made anew: %s", self._at(LEARNT_FILE), error)
            return {}

    def save_submission(self, name: str, draft: Path, description: Mapping[str, JsonValue]) -> Location:
        """Save a copy of a submission's file, and what it was made of; return where the copy is."""
        with draft.open("rb") as file:
            self.blobs.put(f"submissions/{name}.csv", iter(partial(file.read, _CHUNK_BYTES), b""))
        self.blobs.put(f"submissions/{name}.json", encode(description))
        return Location(self._at(f"submissions/{name}.csv"))

    def submission(self, name: str) -> dict[str, JsonValue] | None:
        """Return what a saved submission was made of, None where there is none."""
        return self._json(f"submissions/{name}.json")

    def save_report(self, html: str) -> Location:
        """Save the report; return where it is."""
        self.blobs.put(REPORT_FILE, html.encode("utf-8", "backslashreplace"))
        return Location(self._at(REPORT_FILE))

    def file(self, location: Location) -> Path:
        """Return a local file with the content of a file of the run, which is only to be read."""
        return self.blobs.path(location.removeprefix(self._at("")))

    def _files(self, key: str) -> dict[str, str]:
        """Return what is said of each of the competition's files; nothing where that was not saved."""
        value = self._json(key, max_bytes=MAX_LIST_BYTES) or {"files": {}}
        return from_json(_OfFiles, value, where=self._at(key)).files
