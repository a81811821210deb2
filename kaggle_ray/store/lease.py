"""One driver per run: a lock that the operating system takes back when its holder dies."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from kaggle_ray.errors import LeaseError, StoreError
from kaggle_ray.typed_json import from_json, parse_json
from kaggle_ray.untrusted import MAX_JSON_BYTES, open_regular, read_regular

LEASE_FILE = "lease.lock"
HOLDER_FILE = "lease.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Holder:
    """Who holds a run, as lease.json says."""

    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


@contextmanager
def lease(run_dir: Path) -> Iterator[None]:
    """Hold the run for this process; a killed holder's lease is free at once.

    Raises:
        LeaseError: another process holds it; its host, process id and start are named.
        StoreError: the folder cannot be written.
    """
    lock = FileLock(run_dir / LEASE_FILE, timeout=0)
    holder = _Holder(host=socket.gethostname(), pid=os.getpid(), since=time.strftime("%Y-%m-%d %H:%M:%S"))
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        with open_regular(run_dir / HOLDER_FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as file:
            file.write(json.dumps(asdict(holder)).encode())
    except Timeout:
        raise LeaseError(
            f"{run_dir}: another driver is at work on this run ({_holder(run_dir)}). "
            f"Wait for it, stop it, or start a run of your own with another --run-id."
        ) from None
    except StoreError:
        lock.release()
        raise
    except OSError as error:
        lock.release()
        raise StoreError(f"{run_dir}: cannot be written: {error.strerror}. Name another folder with --runs.") from error
    try:
        yield
    finally:
        lock.release()


def start_anew(run_dir: Path) -> None:
    """Remove what the run has written, for one that is not to be resumed.

    Raises:
        LeaseError: another process is at work on it.
        StoreError: the folder cannot be written.
    """
    with lease(run_dir):
        for path in run_dir.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LEASE_FILE:
                path.unlink()


def _holder(run_dir: Path) -> str:
    path = run_dir / HOLDER_FILE
    try:
        text = read_regular(path, max_bytes=MAX_JSON_BYTES)
        return str(from_json(_Holder, parse_json(text, where=str(path)), where=str(path)))
    except (OSError, StoreError):
        return "it has not written its name yet"
