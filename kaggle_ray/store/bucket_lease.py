"""One driver per run in a bucket: a lease that its holder renews, and that expires where it does not."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from types import FrameType

from kaggle_ray.errors import JsonShapeError, LeaseError, StoreError
from kaggle_ray.store.lease import HOLDER_FILE, Holder, Lease
from kaggle_ray.store.s3 import S3Blobs, Stamped
from kaggle_ray.typed_json import from_json, parse_json
from kaggle_ray.untrusted import MAX_JSON_BYTES

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Renewed(Holder):
    """Who holds a run, as lease.json in a bucket says."""

    lease_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Tells a holder from another one of the same name."""
    num_renewals: int = 0
    """Changes the content, so that a living holder is seen."""
    is_released: bool = False


class BucketLease:
    """The lease of a run in a bucket: an object that is created and renewed on the condition that it is as it was.

    How long it has been silent is told by the clock of the server alone. A killed holder's lease expires; one that is
    stopped or cut off, and finds that its lease was taken over, stops with an error.
    """

    def __init__(self, blobs: S3Blobs, *, expires_s: float = 60.0, renew_every_s: float = 10.0) -> None:
        """Nothing is written before it is held."""
        self._blobs = blobs
        self._expires_s = expires_s
        self._renew_every_s = renew_every_s

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process; where another has fallen silent, wait until its lease expires.

        Raises:
            LeaseError: another process holds it, which is named; or has taken it over meanwhile.
            StoreError: S3 refuses.
        """
        me = _Renewed(host=socket.gethostname(), pid=os.getpid(), since=time.strftime("%Y-%m-%d %H:%M:%S"))
        renewal = _Renewal(self._blobs, me, self._acquired(me), self._expires_s, self._renew_every_s)
        with _sigint_heeded(renewal):
            renewal.start()
            try:
                yield
            except KeyboardInterrupt:
                renewal.check()  # which may have raised it
                raise
            finally:
                renewal.end()
        renewal.check()

    def holder(self) -> Holder | None:
        """Return whoever is at work on the run now; one that has been silent for too long is not."""
        found = self._blobs.read(HOLDER_FILE, max_bytes=MAX_JSON_BYTES)
        return None if found is None else self._alive(found)

    def _alive(self, found: Stamped) -> _Renewed | None:
        """Return who holds the lease, None where it was given back, has expired or says something else."""
        holder = _holder_of(found, where=self._blobs.location)
        return None if holder is None or holder.is_released or found.age_s >= self._expires_s else holder

    def _acquired(self, me: _Renewed) -> str:
        """Return the ETag of the lease once it is this process's."""
        first: Stamped | None = None
        while True:
            found = self._blobs.read(HOLDER_FILE, max_bytes=MAX_JSON_BYTES)
            holder = None if found is None else self._alive(found)
            if found is None or holder is None:
                etag = self._blobs.put_if_unchanged(HOLDER_FILE, _text(me), None if found is None else found.etag)
                if etag is not None:
                    return etag
                continue  # somebody was quicker, and is looked at
            if first is None:
                first = found
                left = max(0.0, self._expires_s - found.age_s)
                logger.warning("%s: waiting up to %.0f s whether %s is alive", self._blobs.location, left, holder)
            elif found.etag != first.etag:
                raise LeaseError(
                    f"{self._blobs.location}: another driver is at work on this run ({holder}). "
                    f"Wait for it, stop it, or start a run of your own with another --run-id."
                )
            time.sleep(min(self._renew_every_s / 2, max(0.0, self._expires_s - found.age_s)))


class _Renewal(threading.Thread):
    """Renews a lease until it ends, and interrupts its holder where it is lost."""

    def __init__(self, blobs: S3Blobs, holder: _Renewed, etag: str, expires_s: float, renew_every_s: float) -> None:
        super().__init__(name="lease", daemon=True)
        self._blobs, self._holder, self._etag = blobs, holder, etag
        self._expires_s, self._renew_every_s = expires_s, renew_every_s
        self._is_over = threading.Event()
        self._lost: str | None = None
        """Why the lease is no longer held."""
        self._holds_main = threading.current_thread() is threading.main_thread()

    @property
    def is_lost(self) -> bool:
        """Whether the lease is no longer held."""
        return self._lost is not None

    def run(self) -> None:
        renewed_at = time.monotonic()
        while not self._is_over.wait(self._renew_every_s):
            try:
                self._write(replace(self._holder, num_renewals=self._holder.num_renewals + 1))
                renewed_at = time.monotonic()
            except LeaseError as error:
                self._lose(str(error))
                return
            except StoreError as error:
                if time.monotonic() - renewed_at >= self._expires_s:
                    self._lose(f"{error} The lease has expired meanwhile.")
                    return
                logger.warning("the lease could not be renewed yet: %s", error)

    def check(self) -> None:
        """Raise LeaseError where the lease was lost."""
        if self._lost is not None:
            raise LeaseError(
                f"{self._lost} This driver has stopped; what is committed is safe. Run the same command again where no "
                f"other driver is at work."
            )

    def end(self) -> None:
        """Stop renewing, and let the next driver begin at once."""
        self._is_over.set()
        self.join()
        if self._lost is None:
            try:
                self._write(replace(self._holder, is_released=True))
            except StoreError as error:
                logger.warning("the lease was not given back, and will expire: %s", error)

    def _write(self, holder: _Renewed) -> None:
        """Replace the lease by ``holder``. Raises LeaseError where it is another's by now."""
        etag = self._blobs.put_if_unchanged(HOLDER_FILE, _text(holder), self._etag)
        if etag is None:  # or it was written, and the answer was lost
            found = self._blobs.read(HOLDER_FILE, max_bytes=MAX_JSON_BYTES)
            other = None if found is None else _holder_of(found, where=self._blobs.location)
            if found is None or other is None or other.lease_id != holder.lease_id:
                raise LeaseError(f"{self._blobs.location}: was taken over by {other or 'somebody'}.")
            etag = found.etag
        self._holder, self._etag = holder, etag

    def _lose(self, reason: str) -> None:
        self._lost = reason
        logger.error("%s", reason)
        if self._holds_main:  # which may wait for trials for hours
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def _sigint_heeded(renewal: _Renewal) -> Iterator[None]:
    """Let the SIGINT of a lost lease interrupt a process that ignores it, as one does that a shell put aside with &."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return

    def take(number: int, frame: FrameType | None) -> None:
        if renewal.is_lost:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, take)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _text(holder: _Renewed) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _holder_of(found: Stamped, *, where: str) -> _Renewed | None:
    """Return who holds a lease, None where it says something else."""
    try:
        return from_json(_Renewed, parse_json(found.data, where=where), where=where)
    except JsonShapeError:
        return None


_: type[Lease] = BucketLease
