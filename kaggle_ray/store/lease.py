"""One driver per run: a lock that the operating system takes back when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from kaggle_ray.errors import LeaseError, StoreError
from kaggle_ray.typed_json import from_json, parse_json
from kaggle_ray.untrusted import MAX_JSON_BYTES, named_if_unreadable, open_regular, read_regular

LEASE_FILE = "lease.lock"
HOLDER_FILE = "lease.json"
LEASE_FILES = (LEASE_FILE, HOLDER_FILE)
"""Files that stay where a run is started anew."""

_PATIENCE_S = 0.2
"""Longer than one who looks for the holder keeps the lock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a run, as lease.json says."""

    host: str
    """Empty of one that has not written its name yet."""
    pid: int
    since: str
    """Local time of the holder's machine."""

    def __str__(self) -> str:
        """Return its name in words."""
        if not self.host:
            return "it has not written its name yet"
        return f"process {self.pid} on {self.host} since {self.since}"


class Lease(Protocol):
    """The right to drive a run, which one process has at a time."""

    def held(self) -> AbstractContextManager[None]:
        """Hold the run for this process within the context.

        Raises:
            LeaseError: another process holds it, which is named.
            StoreError: the run's place cannot be written.
        """
        ...

    def holder(self) -> Holder | None:
        """Return whoever is at work on the run now, None where nobody is; a driver is not disturbed by the look."""
        ...


class FolderLease:
    """The lease of a run in a folder; a killed holder's is free at once."""

    def __init__(self, folder: Path) -> None:
        """Nothing is written before it is held."""
        self._folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process.

        Raises:
            LeaseError: another process holds it; its host, process id and start are named.
            StoreError: the folder cannot be written.
        """
        lock = FileLock(self._folder / LEASE_FILE, timeout=_PATIENCE_S)
        holder = Holder(host=socket.gethostname(), pid=os.getpid(), since=time.strftime("%Y-%m-%d %H:%M:%S"))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            with open_regular(self._folder / HOLDER_FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as file:
                file.write(json.dumps(asdict(holder)).encode())
        except Timeout:
            raise LeaseError(
                f"{self._folder}: another driver is at work on this run ({self._named()}). "
                f"Wait for it, stop it, or start a run of your own with another --run-id."
            ) from None
        except StoreError:
            lock.release()
            raise
        except OSError as error:
            lock.release()
            reason = f"{self._folder}: cannot be written: {error.strerror}"
            raise StoreError(f"{reason}. Name another folder with --runs.") from error
        try:
            yield
        finally:
            lock.release()

    def holder(self) -> Holder | None:
        """Return whoever is at work on the run now; one that was killed is not."""
        path = self._folder / LEASE_FILE
        try:
            with named_if_unreadable(path):
                lock = open_regular(path)
            with lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look are not in each other's way
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return self._named()
        return None

    def _named(self) -> Holder:
        path = self._folder / HOLDER_FILE
        try:
            text = read_regular(path, max_bytes=MAX_JSON_BYTES)
            return from_json(Holder, parse_json(text, where=str(path)), where=str(path))
        except (OSError, StoreError):
            return Holder(host="", pid=0, since="")


_: type[Lease] = FolderLease
