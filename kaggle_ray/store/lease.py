"""One driver per run: a lock that the operating system takes back when its holder dies."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kaggle_ray.errors import LeaseError, StoreError

LEASE_FILE = "lease.lock"
HOLDER_FILE = "lease.json"


@contextmanager
def lease(run_dir: Path) -> Iterator[None]:
    """Hold the run for this process; a killed holder's lease is free at once.

    Raises:
        LeaseError: another process holds it; its host, process id and start are named.
        StoreError: the folder cannot be written.
    """
    lock = FileLock(run_dir / LEASE_FILE, timeout=0)
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        (run_dir / HOLDER_FILE).write_text(json.dumps(holder))
    except Timeout:
        raise LeaseError(
            f"{run_dir}: another driver is at work on this run ({_holder(run_dir)}). "
            f"Wait for it, stop it, or start a run of your own with another --run-id."
        ) from None
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
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LEASE_FILE:
                path.unlink()


def _holder(run_dir: Path) -> str:
    try:
        holder = json.loads((run_dir / HOLDER_FILE).read_text())
    except (OSError, json.JSONDecodeError):
        return "it has not written its name yet"
    return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
