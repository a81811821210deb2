"""Files come once, whole and verified, whoever asks and however often the copying is cut short."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from kaggle_ray.cache import seal
from kaggle_ray.data import staging
from kaggle_ray.data.s3 import Bucket
from kaggle_ray.data.staging import SharedFolder, stage_data
from kaggle_ray.data.staging_source import RemoteFile
from kaggle_ray.errors import ConfigError, DataError, NoRoomError, StoreError
from kaggle_ray.s3 import s3_client
from kaggle_ray.testing.s3 import requests_counted, s3_served

FILES = {"train.csv": b"id,label\n1,cat\n", "train/1.jpg": b"\xff\xd8" * 500, "deep/er/2.jpg": b"x"}
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Counting:
    """Counts what is fetched."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._fetch = SharedFolder.fetch

    def __call__(self, source: SharedFolder, file: RemoteFile, path: Path) -> None:
        self.names.append(file.name)
        self._fetch(source, file, path)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    counting = Counting()
    monkeypatch.setattr(SharedFolder, "fetch", lambda source, file, path: counting(source, file, path))
    return counting.names


def test_a_plain_folder_is_used_where_it_is(shared: Path, cache: Path) -> None:
    assert stage_data(shared, cache_dir=cache).folder == shared
    assert stage_data("data/dogs", cache_dir=cache).folder == Path("data/dogs")
    assert not cache.exists()


@pytest.mark.parametrize(("name", "written"), [("dogs#2", "dogs#2"), ("my dogs?", "my%20dogs?"), ("100%25", "100%25")])
def test_a_folder_is_found_by_its_name_as_it_stands_or_percent_encoded(
    shared: Path, cache: Path, name: str, written: str
) -> None:
    shared.rename(shared.with_name(name))
    staged = stage_data(f"file://{shared.parent}/{written}", cache_dir=cache)
    assert contents(staged.folder) == FILES


def test_a_folder_of_another_machine_is_refused(cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"file://server/data: expected file:///folder.*got host 'server'"):
        stage_data("file://server/data", cache_dir=cache)


def test_files_are_copied_once(shared: Path, cache: Path, fetched: list[str]) -> None:
    folder = stage_data(shared.as_uri(), cache_dir=cache).folder
    assert contents(folder) == FILES
    assert sorted(fetched) == sorted(FILES)
    assert stage_data(shared.as_uri(), cache_dir=cache).folder == folder
    assert len(fetched) == len(FILES)


def test_what_changes_is_copied_again_and_what_is_gone_goes(shared: Path, cache: Path, fetched: list[str]) -> None:
    folder = stage_data(shared.as_uri(), cache_dir=cache).folder
    (shared / "train.csv").write_bytes(b"id,label\n1,dog\n")
    (shared / "deep/er/2.jpg").unlink()
    (shared / "new.csv").write_bytes(b"new")
    fetched.clear()
    stage_data(shared.as_uri(), cache_dir=cache)
    assert sorted(fetched) == ["new.csv", "train.csv"]
    assert contents(folder) == contents(shared)


def test_a_copy_that_was_cut_short_goes_on(
    shared: Path, cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_NUM_THREADS", 1)  # one file after the other, in the order of their names
    fetch = SharedFolder.fetch

    def cut(source: SharedFolder, file: RemoteFile, path: Path) -> None:
        if file.name == "train/1.jpg":
            raise KeyboardInterrupt
        fetch(source, file, path)

    with patch.object(SharedFolder, "fetch", cut), pytest.raises(KeyboardInterrupt):
        stage_data(shared.as_uri(), cache_dir=cache)
    assert not list(cache.glob("data/*/manifest.json"))
    fetched.clear()
    assert contents(stage_data(shared.as_uri(), cache_dir=cache).folder) == FILES
    assert fetched == ["train/1.jpg"]


def test_a_file_that_was_lost_here_is_copied_again(shared: Path, cache: Path, fetched: list[str]) -> None:
    folder = stage_data(shared.as_uri(), cache_dir=cache).folder
    (folder / "train.csv").unlink()
    fetched.clear()
    assert contents(stage_data(shared.as_uri(), cache_dir=cache).folder) == FILES
    assert fetched == ["train.csv"]


@pytest.mark.parametrize("name", FILES)
def test_a_copy_that_was_damaged_here_is_copied_again_and_named(
    shared: Path, cache: Path, fetched: list[str], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = stage_data(shared.as_uri(), cache_dir=cache).folder
    status = (folder / name).stat()
    (folder / name).write_bytes(bytes([FILES[name][0] ^ 1]) + FILES[name][1:])
    os.utime(folder / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    fetched.clear()
    for _ in range(2):
        assert contents(stage_data(shared.as_uri(), cache_dir=cache).folder) == FILES
    assert fetched == [name]
    assert f"1 file here is not what was copied, copied again: {name}" in caplog.text


def test_a_copy_that_was_only_touched_is_read_once_and_not_copied_again(
    shared: Path, cache: Path, fetched: list[str]
) -> None:
    folder = stage_data(shared.as_uri(), cache_dir=cache).folder
    (folder / "train.csv").touch()
    fetched.clear()
    read: list[Path] = []
    digest_of = seal._digest_of

    def counted(path: Path) -> str:
        read.append(path)
        return digest_of(path)

    with patch.object(seal, "_digest_of", counted):
        for _ in range(2):
            stage_data(shared.as_uri(), cache_dir=cache)
    assert (fetched, read) == ([], [folder / "train.csv"])


def test_a_file_of_the_same_length_and_time_at_the_source_is_copied_again(
    shared: Path, cache: Path, fetched: list[str]
) -> None:
    stage_data(shared.as_uri(), cache_dir=cache)
    status = (shared / "train.csv").stat()
    (shared / "train.csv").write_bytes(b"id,label\n1,dog\n")
    os.utime(shared / "train.csv", ns=(status.st_atime_ns, status.st_mtime_ns))
    fetched.clear()
    folder = stage_data(shared.as_uri(), cache_dir=cache).folder
    assert (fetched, (folder / "train.csv").read_bytes()) == (["train.csv"], b"id,label\n1,dog\n")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"train.csv": {"num_bytes": 5}}'])
def test_a_manifest_that_cannot_be_read_tells_nothing(shared: Path, cache: Path, fetched: list[str], text: str) -> None:
    folder = stage_data(shared.as_uri(), cache_dir=cache).folder
    (folder.parent / "manifest.json").write_text(text)
    fetched.clear()
    assert contents(stage_data(shared.as_uri(), cache_dir=cache).folder) == FILES
    assert sorted(fetched) == sorted(FILES)


def test_what_arrives_corrupt_is_tried_again(shared: Path, cache: Path) -> None:
    fetch, tries = SharedFolder.fetch, []

    def flaky(source: SharedFolder, file: RemoteFile, path: Path) -> None:
        tries.append(file.name)
        if file.name == "train.csv" and tries.count("train.csv") < 3:
            path.write_bytes(b"half")
            return
        fetch(source, file, path)

    with patch.object(SharedFolder, "fetch", flaky):
        assert contents(stage_data(shared.as_uri(), cache_dir=cache).folder) == FILES
    assert tries.count("train.csv") == 3


def test_what_stays_corrupt_is_named(shared: Path, cache: Path) -> None:
    with (
        patch.object(SharedFolder, "fetch", lambda source, file, path: path.write_bytes(b"half")),
        pytest.raises(DataError, match=r"expected 1 byte, got 4\. Tried 3 times"),
    ):
        stage_data(shared.as_uri(), cache_dir=cache)


def test_a_full_disk_is_named_before_anything_is_copied(shared: Path, cache: Path, fetched: list[str]) -> None:
    usage = type("Usage", (), {"free": 100})
    with patch("shutil.disk_usage", return_value=usage), pytest.raises(NoRoomError, match="MiB more on the disk"):
        stage_data(shared.as_uri(), cache_dir=cache, budget_bytes=10_000)
    assert not fetched


def test_too_small_a_budget_is_named_before_anything_is_copied(
    shared: Path, cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE_GIB", "0")
    with pytest.raises(NoRoomError, match=rf"^{shared.as_uri()}: needs 0\.0 MiB of the cache in {cache}, .*CACHE_GIB"):
        stage_data(shared.as_uri(), cache_dir=cache)
    assert not fetched


def test_a_disk_that_fills_up_meanwhile_is_named_and_the_same_command_goes_on(
    shared: Path, cache: Path, fetched: list[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        patch("shutil.copyfile", side_effect=full),
        pytest.raises(StoreError, match=r"cannot be staged to .*No space left on device\. Free some space"),
    ):
        stage_data(shared.as_uri(), cache_dir=cache)
    assert contents(stage_data(shared.as_uri(), cache_dir=cache).folder) == FILES


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(shared: Path, cache: Path, name: str) -> None:
    files = [RemoteFile(name=name, num_bytes=1, stamp="")]
    with patch.object(SharedFolder, "list", lambda source: files), pytest.raises(DataError, match="leads out of"):
        stage_data(shared.as_uri(), cache_dir=cache)


def test_missing_empty_and_unknown_sources_are_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        stage_data((tmp_path / "nowhere").as_uri(), cache_dir=cache)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no files"):
        stage_data((tmp_path / "empty").as_uri(), cache_dir=cache)
    with pytest.raises(ConfigError, match=r"expected a folder, file:// or s3://, got the scheme 'ftp'"):
        stage_data("ftp://host/folder", cache_dir=cache)


def _stage_and_count(uri: str, cache: Path, counted: multiprocessing.Queue[int]) -> None:
    counting = Counting()
    with patch.object(SharedFolder, "fetch", lambda source, file, path: counting(source, file, path)):
        stage_data(uri, cache_dir=cache)
    counted.put(len(counting.names))


def test_processes_that_stage_at_once_copy_once_in_total(shared: Path, cache: Path) -> None:
    counted: multiprocessing.Queue[int] = FORK.Queue()
    processes = [FORK.Process(target=_stage_and_count, args=(shared.as_uri(), cache, counted)) for _ in range(3)]
    for process in processes:
        process.start()
    assert sorted(counted.get(timeout=60) for _ in processes) == [0, 0, len(FILES)]
    for process in processes:
        process.join(timeout=60)


# S3 -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(shared: Path) -> Iterator[str]:
    """A bucket on a server of the test's own, with the files below a prefix."""
    pytest.importorskip("boto3")
    with s3_served("pets"):
        client = s3_client()
        for name, content in FILES.items():
            client.put_object(Bucket="pets", Key=f"dogs/{name}", Body=content)
        client.put_object(Bucket="pets", Key="elsewhere.csv", Body=b"not below the prefix")
        yield "s3://pets/dogs"


@pytest.mark.service
def test_objects_are_staged_from_a_bucket(bucket: str, cache: Path) -> None:
    folder = stage_data(bucket, cache_dir=cache).folder
    assert contents(folder) == FILES
    with patch("kaggle_ray.data.s3.Bucket.fetch", side_effect=AssertionError("fetched again")):
        stage_data(bucket, cache_dir=cache)


@pytest.mark.service
def test_a_changed_object_is_fetched_again(bucket: str, cache: Path) -> None:
    import boto3

    folder = stage_data(bucket, cache_dir=cache).folder
    boto3.client("s3").put_object(Bucket="pets", Key="dogs/train.csv", Body=b"id,label\n1,dog\n")
    stage_data(bucket, cache_dir=cache)
    assert (folder / "train.csv").read_bytes() == b"id,label\n1,dog\n"


@pytest.mark.service
def test_an_object_that_was_uploaded_in_parts_is_verified(bucket: str, cache: Path, tmp_path: Path) -> None:
    import boto3
    from boto3.s3.transfer import TransferConfig

    large = tmp_path / "large.bin"
    large.write_bytes(bytes(range(256)) * 4 * 11 * 1024)
    config = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)
    boto3.client("s3").upload_file(str(large), "pets", "dogs/large.bin", Config=config)
    folder = stage_data(bucket, cache_dir=cache).folder
    assert (folder / "large.bin").read_bytes() == large.read_bytes()


@pytest.mark.service
def test_bytes_that_arrive_altered_are_noticed(bucket: str, cache: Path) -> None:
    numbers = itertools.count()
    download = Bucket._download

    def altered(source: Bucket, file: RemoteFile, path: Path) -> None:
        download(source, file, path)
        path.write_bytes(path.read_bytes()[:-1] + bytes([next(numbers)]))

    with (
        patch.object(Bucket, "_download", altered),
        pytest.raises(DataError, match=r"another content arrives each time, and none has .* Tried 3 times"),
    ):
        stage_data(bucket, cache_dir=cache)


@pytest.mark.service
def test_an_object_whose_etag_is_no_md5_is_staged_as_those_encrypted_by_kms_are(bucket: str, cache: Path) -> None:
    from moto.s3.models import s3_backends

    for account in s3_backends.values():
        for backend in account.values():
            for key in backend.buckets["pets"].keys.values():
                key._etag = "0123456789abcdef0123456789abcdef"
    with requests_counted() as counted:
        assert contents(stage_data(bucket, cache_dir=cache).folder) == FILES
    assert counted["GetObject"] == 2 * len(FILES)


@pytest.mark.service
def test_no_bucket_and_no_objects_are_named(bucket: str, cache: Path) -> None:
    with pytest.raises(DataError, match=r"no-such-bucket/x: cannot be listed: there is no such bucket"):
        stage_data("s3://no-such-bucket/x", cache_dir=cache)
    with pytest.raises(DataError, match="has no files"):
        stage_data("s3://pets/cats", cache_dir=cache)
