"""The lease of a run in a bucket: one holder, renewed, expiring, and noticed when lost."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("boto3")

from kaggle_ray.errors import LeaseError, StoreError
from kaggle_ray.store.bucket_lease import BucketLease
from kaggle_ray.store.lease import HOLDER_FILE
from kaggle_ray.store.s3 import S3Blobs
from kaggle_ray.testing.s3 import s3_served

pytestmark = pytest.mark.service


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    with s3_served("runs"):
        yield


@pytest.fixture
def blobs(tmp_path: Path, request: pytest.FixtureRequest) -> S3Blobs:
    return S3Blobs(f"s3://runs/{abs(hash(request.node.nodeid))}", tmp_path)


def lease_of(blobs: S3Blobs, *, expires_s: float = 60.0, renew_every_s: float = 0.2) -> BucketLease:
    return BucketLease(blobs, expires_s=expires_s, renew_every_s=renew_every_s)


def silent(blobs: S3Blobs) -> bytes:
    """Leave the lease of a driver that was killed."""
    with lease_of(blobs).held():
        held = blobs.get(HOLDER_FILE)
    assert held is not None
    blobs.put(HOLDER_FILE, held)
    return held


def test_a_second_driver_is_told_who_holds_the_run_and_a_holder_that_ends_frees_it_at_once(blobs: S3Blobs) -> None:
    with (
        lease_of(blobs).held(),
        pytest.raises(LeaseError, match=r"another driver is at work on this run \(process \d+ on .* since .*--run-id"),
        lease_of(blobs).held(),
    ):
        pass
    started = time.monotonic()
    with lease_of(blobs, renew_every_s=10).held():
        pass
    assert time.monotonic() - started < 5


def test_whoever_looks_is_told_who_is_at_work_and_does_not_disturb(blobs: S3Blobs) -> None:
    assert lease_of(blobs).holder() is None
    with lease_of(blobs).held():
        holder = lease_of(blobs).holder()
        assert holder is not None
        assert holder.pid == os.getpid()
    assert lease_of(blobs).holder() is None
    silent(blobs)
    assert lease_of(blobs).holder() is not None, "it may be alive"
    assert lease_of(blobs, expires_s=0).holder() is None


def test_a_lease_is_free_after_an_error_inside(blobs: S3Blobs) -> None:
    with pytest.raises(RuntimeError, match="inside"), lease_of(blobs).held():
        raise RuntimeError("inside")
    with lease_of(blobs).held():
        pass


def test_the_lease_of_a_killed_driver_is_waited_for_and_expires(
    blobs: S3Blobs, caplog: pytest.LogCaptureFixture
) -> None:
    silent(blobs)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING), lease_of(blobs, expires_s=3.0).held():
        assert time.monotonic() - started > 1, "the server tells whole seconds"
    assert re.search(r"waiting up to [1-3] s whether process \d+ on .* is alive", caplog.text)


def test_of_two_that_wait_for_an_expired_lease_one_takes_it(blobs: S3Blobs) -> None:
    silent(blobs)
    held, ended, refused = threading.Barrier(2), threading.Event(), []

    def drive() -> None:
        try:
            with lease_of(blobs, expires_s=2.0).held():
                held.wait(timeout=60)
        except LeaseError as error:
            refused.append(error)
            held.wait(timeout=60)
        ended.set()

    threads = [threading.Thread(target=drive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1


def test_a_holder_whose_lease_was_taken_over_is_stopped_with_an_error(blobs: S3Blobs) -> None:
    def taken_over_while_it_waits() -> None:
        with lease_of(blobs).held():
            blobs.put(HOLDER_FILE, b'{"host": "other", "pid": 7, "since": "today", "lease_id": "theirs"}')
            threading.Event().wait(timeout=60)
            raise AssertionError("it was not interrupted")

    with pytest.raises(LeaseError, match=r"was taken over by process 7 on other since today.*This driver has stopped"):
        taken_over_while_it_waits()
    assert b"theirs" in (blobs.get(HOLDER_FILE) or b"")


def test_a_holder_that_ignores_ctrl_c_is_stopped_where_its_lease_is_taken_over_and_ignores_it_still(
    blobs: S3Blobs,
) -> None:
    def taken_over_while_it_waits() -> None:
        with lease_of(blobs).held():
            os.kill(os.getpid(), signal.SIGINT)
            blobs.put(HOLDER_FILE, b'{"host": "other", "pid": 7, "since": "today", "lease_id": "theirs"}')
            threading.Event().wait(timeout=60)
            raise AssertionError("it was not interrupted")

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(LeaseError, match="was taken over by process 7"):
            taken_over_while_it_waits()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_of_a_holder_stays_one(blobs: S3Blobs) -> None:
    with pytest.raises(KeyboardInterrupt), lease_of(blobs).held():
        raise KeyboardInterrupt


def test_renewals_that_fail_for_a_while_are_survived_and_for_longer_than_it_lasts_are_not(
    blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = threading.Event()
    write = S3Blobs.put_if_unchanged

    def failing_write(self: S3Blobs, key: str, data: bytes, etag: str | None) -> str | None:
        if failing.is_set():
            raise StoreError("S3 is gone.")
        return write(self, key, data, etag)

    monkeypatch.setattr(S3Blobs, "put_if_unchanged", failing_write)
    with lease_of(blobs, expires_s=30).held():
        failing.set()
        time.sleep(0.7)
        failing.clear()
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(LeaseError, match=r"S3 is gone\. The lease has expired meanwhile"))
        stack.enter_context(lease_of(blobs, expires_s=1.0).held())
        failing.set()
        threading.Event().wait(timeout=60)
