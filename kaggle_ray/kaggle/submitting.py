"""The story of a submission to Kaggle: never twice, whatever fails when.

Before anything is sent, a record says that it is meant to be; the description on Kaggle ends with a marker made of the
file's content. So whoever comes after a crash looks at Kaggle for the marker first, and finds it or may go on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kaggle_ray.combine.saved import chosen_ensemble
from kaggle_ray.errors import SubmissionError
from kaggle_ray.kaggle.client import Kaggle, KaggleError, ListedSubmission, UploadError
from kaggle_ray.store.run import FAST_DEV, RunStore
from kaggle_ray.submission.kaggle_records import KaggleRecord, records_of, save_record
from kaggle_ray.submission.saved import FINAL, saved_submission, submission_file

SETTLING_S = (2.0, 5.0, 10.0)
"""Waits for a submission to appear in Kaggle's list, which may lag behind what it has taken."""
_POLL_S = 10.0
_NUM_UPLOADS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitting:
    """Submits a run's file to one competition on Kaggle."""

    store: RunStore
    kaggle: Kaggle
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time

    def submit(self, message: str, *, name: str = FINAL, wait_s: float = 600.0) -> KaggleRecord:
        """Submit the file where Kaggle does not have it, wait for its score, and record it with the run.

        Args:
            message: its description on Kaggle.
            name: of the run's submission.
            wait_s: how long to wait for the score; the record says ``submitted`` where that is too short.

        Raises:
            SubmissionError: the run only shows whether everything works, or Kaggle found the file wrong.
            KaggleError: no submission is left today, Kaggle refuses, or it is not known whether it has the file.
            LeaseError: another process is at work on the run.
            StoreError: the run has no such submission.
        """
        if self.store.run_id.startswith(FAST_DEV):
            raise SubmissionError(f"{self.store.location}: is of a part of the rows, and is not to be submitted.")
        with self.store.lease.held():
            record = self._scored(self._submitted(message, name), wait_s)
        if record.state == "error":
            raise SubmissionError(f"{self.kaggle.slug}: Kaggle has refused submission {record.ref}: look there why.")
        return record

    def _submitted(self, message: str, name: str) -> KaggleRecord:
        """Return the record of the file once Kaggle has it."""
        file = submission_file(self.store, name)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        known = next((each for each in records_of(self.store) if self._is_of(each, digest)), None)
        if known is None:
            record = self._intended(message, name, digest)
            found = _with_marker(self.kaggle.submissions(), record)
        else:
            record = known
            found = self._appeared(record) if record.state == "intended" else None
        if found is None and record.state == "intended":
            self._check_limits()
            save_record(self.store, record)
            found = self._sent(record, file)
        if found is not None:
            record = _with_scores(record, found)
            save_record(self.store, record)
        return record

    def _is_of(self, record: KaggleRecord, digest: str) -> bool:
        return (record.sha256, record.slug) == (digest, self.kaggle.slug)

    def _intended(self, message: str, name: str, digest: str) -> KaggleRecord:
        saved = saved_submission(self.store, name)
        chosen = chosen_ensemble(self.store) if name == FINAL else None
        return KaggleRecord(
            slug=self.kaggle.slug,
            name=name,
            sha256=digest,
            message=message,
            state="intended",
            score_honest=saved.score_honest if saved else None,
            standard_error=chosen.standard_error if chosen else None,
            since=self.clock(),
        )

    def _check_limits(self) -> None:
        """Raise KaggleError where no submission is left."""
        limits = self.kaggle.limits()
        if limits.is_spent:
            when = "" if limits.limited_by_total else " today"
            raise KaggleError(
                f"{self.kaggle.slug}: no submission is left{when}: {limits.num_today} were made today, "
                f"{limits.num_total} in all. The file was not sent."
            )

    def _sent(self, record: KaggleRecord, file: Path) -> ListedSubmission:
        """Send the file; again only where it is sure that nothing was submitted."""
        for last in (*[False] * (_NUM_UPLOADS - 1), True):
            failure: KaggleError | None = None
            try:
                self.kaggle.submit(file, record.description)
            except KaggleError as error:
                failure = error
            if (found := self._appeared(record)) is not None:
                return found
            if not isinstance(failure, UploadError) or last:
                reason = failure or "Kaggle said that it has taken the file."
                raise KaggleError(
                    f"{reason} It is not in the list of submissions (yet), and was not sent again, as it may have "
                    f"arrived. The same command looks for it before it sends anything."
                )
        raise AssertionError("the last try returns or raises")

    def _appeared(self, record: KaggleRecord) -> ListedSubmission | None:
        """Return the submission from Kaggle's list, which is given some time; None where it does not appear."""
        for wait_s in (*SETTLING_S, None):
            if (found := _with_marker(self.kaggle.submissions(), record)) is not None or wait_s is None:
                return found
            self.sleep(wait_s)
        return None

    def _scored(self, record: KaggleRecord, wait_s: float) -> KaggleRecord:
        """Return the record once Kaggle has scored the file, or when the time is over."""
        until = self.clock() + wait_s
        while record.state == "submitted" and self.clock() < until:
            self.sleep(min(_POLL_S, max(0.0, until - self.clock())))
            record = refreshed(self.store, record, self.kaggle.submissions())
        return record


def refreshed(store: RunStore, record: KaggleRecord, listed: Sequence[ListedSubmission]) -> KaggleRecord:
    """Return a record, and save it, with what Kaggle's list says of it now."""
    found = _with_marker(listed, record)
    if found is None or (now := _with_scores(record, found)) == record:
        return record
    save_record(store, now)
    return now


def _with_marker(listed: Sequence[ListedSubmission], record: KaggleRecord) -> ListedSubmission | None:
    """Return the submission whose description ends with the record's marker."""
    return next((each for each in listed if each.description.rstrip().endswith(record.marker)), None)


def _with_scores(record: KaggleRecord, found: ListedSubmission) -> KaggleRecord:
    return replace(
        record,
        ref=found.ref,
        state="submitted" if found.status == "pending" else found.status,
        public_score=found.public_score if found.public_score is not None else record.public_score,
        private_score=found.private_score if found.private_score is not None else record.private_score,
    )
