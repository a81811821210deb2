"""Every source of files keeps the contract, and the contract refuses those that do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.data.staging import SharedFolder
from kaggle_ray.data.staging_source import RemoteFile, Source
from kaggle_ray.testing.staging_contract import check_staging_source


class Folder:
    """A folder, and the source of it."""

    def __init__(self, folder: Path, make_source: type[SharedFolder] = SharedFolder) -> None:
        self._folder, self._make_source = folder, make_source
        self._clock = 10**18

    def put(self, name: str, content: bytes) -> None:
        (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(content)
        self._clock += 10**9  # some file systems' clocks are too coarse to tell one write from the next
        os.utime(self._folder / name, ns=(self._clock, self._clock))

    def source(self) -> Source:
        return self._make_source(self._folder)


class Objects:
    """A bucket, and the source of what is below a prefix."""

    def put(self, name: str, content: bytes) -> None:
        import boto3

        boto3.client("s3").put_object(Bucket="contract", Key=f"dogs/{name}", Body=content)

    def source(self) -> Source:
        from kaggle_ray.data.s3 import Bucket

        return Bucket("s3://contract/dogs")


@pytest.fixture
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of the test's own with one empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="contract")
    yield
    server.stop()


def fetched_into(tmp_path: Path) -> Path:
    (tmp_path / "fetched").mkdir()
    return tmp_path / "fetched"


def test_a_shared_folder_keeps_the_contract(tmp_path: Path) -> None:
    absent = SharedFolder(tmp_path / "absent")
    check_staging_source(Folder(tmp_path / "shared"), absent, fetched_into(tmp_path))


@pytest.mark.service
@pytest.mark.usefixtures("_server")
def test_a_bucket_keeps_the_contract(tmp_path: Path) -> None:
    from kaggle_ray.data.s3 import Bucket

    check_staging_source(Objects(), Bucket("s3://no-such-bucket/dogs"), fetched_into(tmp_path))


class TopOnly(SharedFolder):
    def list(self) -> list[RemoteFile]:
        return [file for file in super().list() if "/" not in file.name]


class CutShort(SharedFolder):
    def fetch(self, file: RemoteFile, path: Path) -> None:
        super().fetch(file, path)
        path.write_bytes(path.read_bytes()[:-1])


class StampedBySize(SharedFolder):
    def list(self) -> list[RemoteFile]:
        return [RemoteFile(name=f.name, num_bytes=f.num_bytes, stamp=str(f.num_bytes)) for f in super().list()]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (TopOnly, "the names or sizes listed are not those put there"),
        (CutShort, "other bytes arrived than were put there"),
        (StampedBySize, "stamps do not tell which file has changed"),
    ],
)
def test_a_source_that_breaks_the_contract_is_refused(broken: type[SharedFolder], said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        check_staging_source(
            Folder(tmp_path / "shared", broken), SharedFolder(tmp_path / "absent"), fetched_into(tmp_path)
        )
