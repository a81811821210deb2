"""Blobs in a bucket, on a real server of the test's own, with S3's faults put in between."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("boto3")

import boto3
from botocore.awsrequest import AWSResponse

from kaggle_ray.errors import ConfigError, CorruptBlobError, StoreError
from kaggle_ray.s3 import s3_client
from kaggle_ray.store import s3_upload
from kaggle_ray.store.diary import BlobDiary
from kaggle_ray.store.opening import list_runs, open_run
from kaggle_ray.store.s3 import S3Blobs
from kaggle_ray.testing.blobs_contract import check_blobs
from kaggle_ray.testing.s3 import requests_counted, s3_served
from kaggle_ray.types import Trial, TrialResult

pytestmark = pytest.mark.service

MIB = 2**20


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    with s3_served("runs"):
        yield


@pytest.fixture
def blobs(tmp_path: Path, request: pytest.FixtureRequest) -> S3Blobs:
    return S3Blobs(f"s3://runs/{abs(hash(request.node.nodeid))}", tmp_path / "cache")


@contextmanager
def answered(operation: str, answer: Callable[[Any], AWSResponse | None]) -> Iterator[None]:
    """Let ``answer`` speak for S3 within the context, wherever it returns something else than None."""
    events: Any = s3_client().meta.events
    name = f"before-send.s3.{operation}"

    def before_send(request: Any, **_: Any) -> AWSResponse | None:
        return answer(request)

    events.register(name, before_send)
    try:
        yield
    finally:
        events.unregister(name, before_send)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> AWSResponse:
    body = f"<Error><Code>{code}</Code><Message>as S3 says it</Message></Error>".encode()
    answered_with: Any = {"content-type": "application/xml", **(headers or {})}
    return AWSResponse("http://s3", status, answered_with, _Raw(body))


def always(answer: AWSResponse) -> Callable[[Any], AWSResponse]:
    return lambda request: answer


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_blobs_in_a_bucket_keep_the_contract(tmp_path: Path) -> None:
    numbers = itertools.count()
    check_blobs(lambda: S3Blobs(f"s3://runs/contract/{next(numbers)}", tmp_path / "cache"))


def test_the_contract_holds_for_uploads_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "PART_BYTES", 5 * MIB)
    blobs = S3Blobs("s3://runs/parts", tmp_path / "cache")
    content = np.random.default_rng(0).bytes(11 * MIB)
    assert blobs.put_if_absent("a/large", iter([content[: 4 * MIB], content[4 * MIB :]]))
    assert not blobs.put_if_absent("a/large", b"x" * 6 * MIB)
    assert blobs.get("a/large") == content
    assert blobs.path("a/large").read_bytes() == content


def test_a_while_of_503_is_survived(blobs: S3Blobs, no_pauses: None) -> None:
    def busy_for(number: int) -> Callable[[Any], AWSResponse | None]:
        left = itertools.count(number, -1)
        return lambda request: refusal(503, "SlowDown") if next(left) > 0 else None

    with answered("PutObject", busy_for(3)), answered("GetObject", busy_for(3)), answered("ListObjectsV2", busy_for(3)):
        assert blobs.put_if_absent("a/key", b"content")
        assert blobs.get("a/key") == b"content"
        assert blobs.list("") == ["a/key"]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "ExpiredToken", "the credentials have expired. Renew them and run the same command again"),
        (403, "AccessDenied", "access is denied"),
        (403, "InvalidAccessKeyId", "not known to S3"),
        (400, "AuthorizationHeaderMalformed", "lies in another region, eu-north-1. Name its region in AWS_REGION"),
        (503, "SlowDown", "refused 8 times"),
    ],
)
def test_what_s3_refuses_is_named_with_the_next_step(
    blobs: S3Blobs, no_pauses: None, status: int, code: str, said: str
) -> None:
    refused = always(refusal(status, code, {"x-amz-bucket-region": "eu-north-1"}))
    uses: list[tuple[str, Callable[[], object]]] = [
        ("PutObject", lambda: blobs.put("key", b"")),
        ("PutObject", lambda: blobs.put_if_absent("key", b"")),
        ("GetObject", lambda: blobs.get("key")),
        ("ListObjectsV2", lambda: blobs.list("")),
    ]
    for operation, use in uses:
        with answered(operation, refused), answered("HeadBucket", refused), pytest.raises(StoreError) as error:
            use()
        assert said in str(error.value)
        assert blobs.location in str(error.value)


def test_a_missing_bucket_no_bucket_and_no_credentials_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=r"s3://nowhere/x/run.json: there is no such bucket"):
        open_run("s3://nowhere/x").record()
    with pytest.raises(ConfigError, match=r"s3:///x: expected s3://bucket/prefix"):
        open_run("s3:///x")
    with pytest.raises(ConfigError, match=r"ftp://x: expected a folder, file:///folder or s3://"):
        open_run("ftp://x")
    from kaggle_ray.s3 import forget_client

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "absent"))
    forget_client()
    try:
        with pytest.raises(StoreError, match=r"no credentials for S3 were found\. Set AWS_ACCESS_KEY_ID"):
            open_run("s3://runs/x").record()
    finally:
        forget_client()


@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")])
def test_a_write_whose_answer_was_lost_is_a_commit_when_it_is_tried_again(
    blobs: S3Blobs, no_pauses: None, status: int, code: str
) -> None:
    def lost(request: Any) -> AWSResponse | None:
        """Do what is asked by another client, and answer as if it were asked again."""
        sent = {name.lower(): _text(value) for name, value in request.headers.items()}
        metadata = {name: sent[f"x-amz-meta-{name}"] for name in ("writer", "sha256")}
        name: Any = blobs._object("result.json")
        boto3.client("s3").put_object(**name, Body=b"mine", Metadata=metadata)
        return refusal(status, code)

    numbers = itertools.count()
    with answered("PutObject", lambda request: lost(request) if next(numbers) == 0 else None):
        assert blobs.put_if_absent("result.json", b"mine")
    assert blobs.get("result.json") == b"mine"
    assert not blobs.put_if_absent("result.json", b"mine"), "of another writer, though the same"


def test_a_conflict_is_asked_again_until_somebody_has_won(blobs: S3Blobs, no_pauses: None) -> None:
    numbers = itertools.count()
    conflict = refusal(409, "ConditionalRequestConflict")
    with answered("PutObject", lambda request: conflict if next(numbers) < 2 else None):
        assert blobs.put_if_absent("result.json", b"mine")
    with answered("PutObject", always(conflict)):
        assert not blobs.put_if_absent("result.json", b"other")
    with answered("PutObject", always(conflict)), pytest.raises(StoreError, match=r"new.json: .*Conflict"):
        blobs.put_if_absent("new.json", b"other")


def test_an_upload_that_died_half_written_is_not_seen_and_is_cleaned_up(
    blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "PART_BYTES", 5 * MIB)
    key = blobs._prefix + "a/large"
    upload_id = s3_client().create_multipart_upload(Bucket="runs", Key=key)["UploadId"]
    s3_client().upload_part(Bucket="runs", Key=key, UploadId=upload_id, PartNumber=1, Body=b"x" * 5 * MIB)
    assert blobs.get("a/large") is None
    assert blobs.list("") == []
    blobs.remove_temporary()
    assert not s3_client().list_multipart_uploads(Bucket="runs").get("Uploads")
    with answered("UploadPart", always(refusal(403, "AccessDenied"))), pytest.raises(StoreError, match="denied"):
        blobs.put("a/large", b"x" * 6 * MIB)
    assert not s3_client().list_multipart_uploads(Bucket="runs").get("Uploads"), "it was aborted"


def test_thousands_of_keys_are_listed_by_pages(blobs: S3Blobs) -> None:
    from moto.s3.models import s3_backends

    backend = s3_backends["123456789012"]["aws"]
    for number in range(2_500):
        backend.put_object("runs", f"{blobs._prefix}trials/{number}/result.json", b"")
    with requests_counted() as counted:
        assert len(blobs.list("trials/")) == 2_500
    assert counted == {"ListObjectsV2": 3}
    blobs.delete("trials")
    assert blobs.list("") == []


def test_a_file_is_copied_to_this_machine_once_and_never_stale(blobs: S3Blobs, tmp_path: Path) -> None:
    blobs.put("values.npy", b"first")
    assert not blobs.path("absent").exists()
    first = blobs.path("values.npy")
    with requests_counted() as counted:
        assert S3Blobs(blobs.location, tmp_path / "cache").path("values.npy") == first
    assert counted == {"HeadObject": 1}
    blobs.put("values.npy", b"second")
    assert blobs.path("values.npy").read_bytes() == b"second"
    assert first.read_bytes() == b"first", "whoever has mapped it goes on"


def test_a_copy_that_is_not_what_was_written_is_refused(blobs: S3Blobs) -> None:
    blobs.put("values.npy", b"content")
    name = blobs._object("values.npy")
    metadata = s3_client().head_object(**name)["Metadata"]
    s3_client().put_object(**name, Body=b"changed", Metadata=metadata)
    with pytest.raises(CorruptBlobError, match=r"values.npy: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}"):
        blobs.path("values.npy")


def test_processes_that_map_a_file_at_once_copy_it_once(blobs: S3Blobs) -> None:
    blobs.put("values.npy", b"content")
    with requests_counted() as counted:
        threads = [threading.Thread(target=blobs.path, args=("values.npy",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counted["GetObject"] == 1


def test_who_looks_at_a_run_again_reads_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    trials = [Trial(experiment_id="e" * 12, fold=fold) for fold in range(5)]

    def commit(trial: Trial, score: float) -> None:
        open_run("s3://runs/looked-at").attempt(trial).commit(
            TrialResult(trial=trial, status="committed", attempt_id="", score=score)
        )

    def look() -> tuple[list[float | None], int]:
        """Return the scores, and how many objects were read for them, by a process that has read none before."""
        with requests_counted() as counted:
            found = open_run("s3://runs/looked-at").results(trials)
        return [result.score for result in found.values()], counted["GetObject"]

    no_summary = 1  # which is asked for, and not there
    for trial in trials[:4]:
        commit(trial, 0.5)
    assert look() == ([0.5] * 4, no_summary + 4)
    assert look() == ([0.5] * 4, no_summary)
    commit(trials[4], 0.25)
    assert look() == ([0.5] * 4 + [0.25], no_summary + 1)
    open_run("s3://runs/looked-at").remove(trials[0])
    commit(trials[0], 0.75)
    assert look() == ([0.75] + [0.5] * 3 + [0.25], no_summary + 1)


def test_where_the_cache_cannot_be_written_a_run_is_looked_at_without_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    blobs = S3Blobs("s3://runs/uncached", tmp_path / "file" / "cache")
    blobs.put("a", b"content")
    for _ in range(2):
        with requests_counted() as counted:
            assert blobs.get_final("a", blobs.stamps("a")["a"]) == b"content"
        assert counted["GetObject"] == 1


def test_a_diary_in_a_bucket_is_read_again_by_its_last_blob_alone(blobs: S3Blobs) -> None:
    for number in range(3):
        blobs.put(f"events/{number + 1:08d}.jsonl", b"%d\n" % number)
    assert BlobDiary(blobs, "events").lines() == [b"0", b"1", b"2"]
    blobs.put("events/00000003.jsonl", b"2\n3\n")
    with requests_counted() as counted:
        assert BlobDiary(blobs, "events").lines() == [b"0", b"1", b"2", b"3"]
    assert counted == {"ListObjectsV2": 1, "GetObject": 1}


def test_runs_in_a_bucket_are_listed_without_a_request_per_trial() -> None:
    runs = "s3://runs/listed"
    for name in ("toy/b", "toy/a", "digits/c", "toy/fast-dev-x"):
        store = open_run(f"{runs}/{name}")
        store.blobs.put("run.json", b"{}")
        for fold in range(5):
            store.blobs.put(f"trials/e/fold{fold}/result.json", b"{}")
    with requests_counted() as counted:
        found = [(store.competition_name, store.run_id) for store in list_runs(runs)]
    assert found == [("digits", "c"), ("toy", "a"), ("toy", "b")]
    assert sum(counted.values()) <= 6
